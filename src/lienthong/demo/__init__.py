"""A small country, made on start: five members with their nodes, agreements and synthetic people, parcels and firms.

Promises: the same seed makes the same country; everything invented says so; the register of units is the real one.
"""
