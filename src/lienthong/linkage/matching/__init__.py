"""Which records mean one person: normalise, block, compare, score, cluster.

Everything here is text and numbers: SQL that an engine runs (``entities`` has the engines), the score of a pair, and
how pairs become groups of records.
"""
