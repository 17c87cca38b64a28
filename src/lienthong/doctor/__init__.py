"""What is wrong with this node, and what mends it: looked for from outside, whether the node runs or not.

Promises: nothing is changed; every fault comes with its cause and its mend in both languages; a node in order is told
nothing; a look that fails hides no other.
"""
