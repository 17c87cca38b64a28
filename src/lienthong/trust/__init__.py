"""What makes a claim checkable by somebody who trusts nobody: keys, message signatures, the Merkle log, signed notes.

Everything here is computation on values: no file, no socket, no clock, no database.  The time, the random nonce and the
lookup of a key come in as arguments, so that every promise can be tested and every proof can be repeated years later.
"""
