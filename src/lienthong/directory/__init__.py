"""Who is in the data space: members, systems, nodes, keys, registered purposes and published agreement rules.

The national node keeps the directory and signs each version; every other node follows it and works with the last
version it verified.  Nothing in a call needs the national node to be reachable.
"""
