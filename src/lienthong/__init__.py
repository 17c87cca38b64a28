"""Liên Thông: a national data space in one program.

One agreement, three ways to use the data (call it, take the table, query it), and every use leaves a receipt.
"""

__version__ = "0.1.0"
