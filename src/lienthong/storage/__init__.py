"""Where a node keeps things: PostgreSQL (its own embedded server, or one it is pointed at) and a folder of objects.

Promises: a database that could lose an acknowledged commit is refused at start; a record counts as written only when
the disk has it; a killed server comes back by ``start()``; nobody but the roles of a node reaches its database.
"""
