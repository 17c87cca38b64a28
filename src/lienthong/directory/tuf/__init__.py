"""The directory's chain of trust by The Update Framework: an offline root, three online roles, one target.

Only the jobs process and the commands import this package: reading TUF metadata costs 0.15 s and 2 MB.
"""
