"""Recognising what state records mean: units in addresses, identifiers, names.

Pure functions over ``law``: no database, no network, no clock.  What is not certain is said, never guessed.
"""
