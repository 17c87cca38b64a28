"""Database tables and files as one Table: projection, row filter and masks, whichever way it is used.

Promises: a field that is not granted is never read, a masked value never leaves in clear, and files, SQL and rows of
one service under one view say the same.  Nothing heavy is imported here: engines live in the sandbox's processes.
"""
