"""Rows of a table for a call, from whatever holds them: the source's own SQL in place, or the sandbox for files.

Runs in the gateway: imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from lienthong.catalog.models import Field, Service
from lienthong.tables.models import Page, View
from lienthong.tables.page import Wanted, check_wanted, page_limit, page_of, read_columns
from lienthong.tables.queries import Sources
from lienthong.tables.sql import lookup_condition, order_sql, read_postgres, table_source, value_text

FileRows = Callable[[Service, View, Wanted], Awaitable[Page]]
"""Reads a page of a CSV or Parquet table: the sandbox's ``rows`` job."""


class TableReader:
    """Reads pages of this node's tables, whatever holds them.  Belongs to one event loop."""

    def __init__(self, sources: Sources, file_rows: FileRows) -> None:
        self._sources = sources
        self._file_rows = file_rows

    async def rows(self, service: Service, view: View, wanted: Wanted) -> Page:
        """The page of ``service`` that ``wanted`` asks for, as far as ``view`` shows it.

        Raises BadLookup, LookupMissing, LookupNotGranted, ValueNotValid, ViewNotApplicable, SourceUnavailable,
        SourceChanged, SourceTooSlow and the sandbox's problems.
        """
        check_wanted(service, view, wanted)
        source = table_source(service)
        if source.kind != "postgres":
            return await self._file_rows(service, view, wanted)
        select, values = _select(service, view, wanted)
        raw = await self._sources.rows(source.dsn, service.timeout_s, select, values)
        return page_of(service, view, wanted, raw)


def _select(service: Service, view: View, wanted: Wanted) -> tuple[str, dict[str, str | int | None]]:
    """psycopg's SELECT for one page and its values; lookups are bound so that the statement is prepared once."""
    select = read_postgres(service, read_columns(service, view), view.row_filter).replace("%", "%%")
    values: dict[str, str | int | None] = {"limit": page_limit(view, wanted) + 1, "offset": wanted.offset}
    looked_up: list[str] = []
    for place, (name, value) in enumerate(wanted.lookup.items()):
        values[f"v{place}"] = value_text(cast("Field", service.field(name)), value)
        looked_up.append(lookup_condition(service, name, "\0").replace("%", "%%").replace("\0", f"%(v{place})s"))
    joint = " AND " if view.row_filter else " WHERE "
    where = joint + " AND ".join(looked_up) if looked_up else ""
    order = order_sql(service, "postgres").replace("%", "%%")
    return f"{select}{where}{order} LIMIT %(limit)s OFFSET %(offset)s", values
