"""What a member holds and offers: datasets and services with their typed fields, and the verb that publishes one.

Promises: what is published has checked fields, keys and subject selectors; where the data lies (``source``) never
leaves the node.
"""
