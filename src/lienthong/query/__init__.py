"""SQL across members: one SELECT becomes one sub-query a member and a merge, rewritten under both sides' agreement.

Promises: what is not understood is refused by name; a member is asked only for granted fields; the answer is what
DuckDB would give on the tables merged.  Importing this package, ``ask`` or ``serve`` loads no SQL engine: parsing and
running happen in the sandbox's processes.
"""
