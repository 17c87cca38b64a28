"""Nodes as each other's witnesses: cosigning others' logs, asking others to cosign one's own, finding forks.

A log that nobody else cosigns proves nothing against its own operator (C2SP tlog-witness).
"""
