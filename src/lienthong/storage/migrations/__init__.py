"""The schema of a node's database: a chain of Alembic revisions that hold SQL.

Revisions live in ``versions``, one file each, named ``NNNN_<what>.py``; the file's stem is its id and the order of
the names is the order of the chain.
"""
