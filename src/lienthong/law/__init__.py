"""The law as data: administrative units, agency codes, identifiers, grounds, dated rules, and Vietnamese text keys.

Every module answers from reference data with validity dates and a legal basis; nothing is loaded before it is
asked for.
"""
