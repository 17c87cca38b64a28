"""One use of data: admitted under an agreement, recorded durably before anything leaves, provable afterwards.

Calls, shared tables and queries all pass here.  The package promises that an answer leaves a node only after its
record is on disk, that the stored bytes of a record are never written again, and that every record gets a place in
an append-only log whose checkpoints others can verify.
"""
