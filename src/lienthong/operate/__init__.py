"""Running a node over years: installing, backing up, restoring, upgrading, rehearsing losses, asking for help.

Promises: nothing here deletes data unless told so by name; a backup is taken while the node serves and opens only with
its key; a restored node signs nothing before somebody outside has shown a checkpoint of its log.
"""
