"""What can be wrong with a query, each with whose side it is and what to do.

What happens while it runs (rows, bytes, memory, time) has its kinds in ``tables.limits``.  Facts name tables, columns
and functions as the asker wrote them, never a value from a row or from the SQL.
"""

from __future__ import annotations

from lienthong.errors import Problem
from lienthong.i18n import T


class QueryRefused(Problem):
    """The SQL is not of the kind a data space answers."""

    kind = "query-not-allowed"
    status = 400
    side = "caller"
    title = T("The query is not allowed")


class QueryNotReadable(QueryRefused):
    """The text is not SQL."""

    kind = "query-not-readable"
    title = T("The query can not be read")


class NotOneSelect(QueryRefused):
    """The text is not exactly one SELECT."""

    kind = "not-one-select"
    title = T("A query is exactly one SELECT")


class QueryTooLarge(QueryRefused):
    """The text is too long, too deep or names too many tables."""

    kind = "query-too-large"
    status = 413
    title = T("The query is too large")


class UnknownTable(QueryRefused):
    """The query names a table that is not known or that no agreement covers."""

    kind = "unknown-table"
    status = 404
    title = T("The query names an unknown table")


class AmbiguousTable(QueryRefused):
    """A bare name fits several tables of this node."""

    kind = "ambiguous-table"
    title = T("The query's table name fits several tables")


class UnknownColumn(QueryRefused):
    """The query names a column that does not exist or is not granted: the two look alike on purpose."""

    kind = "unknown-column"
    title = T("The query names an unknown column")


class FunctionNotAllowed(QueryRefused):
    """The query calls a function outside the list."""

    kind = "function-not-allowed"
    title = T("The query calls a function that is not allowed")


class GroupGuard(QueryRefused):
    """The agreement asks for groups of a least size, and this form of query can not guarantee them."""

    kind = "group-too-small-guard"
    status = 403
    title = T("The query could show groups smaller than the agreement allows")


class QueryTimeout(Problem):
    """The members' parts did not all arrive in time."""

    kind = "query-timeout"
    status = 504
    side = "provider"
    title = T("The members' parts did not arrive in time")
