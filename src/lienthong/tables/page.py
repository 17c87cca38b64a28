"""What a call may ask of a table and the page it gets: checks, projection, masks, JSON.  Pure.

Promises: a column that is not granted is not read (but for the one that names the person, which never leaves), and
nobody can search by a field they may not see in clear.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import cast
from urllib.parse import parse_qsl

import orjson

from lienthong.catalog.models import Field, Service, SubjectKind
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.tables.mask import mask_value
from lienthong.tables.models import Cell, Page, View, check_row_filter, mask_of, shown_fields

DEFAULT_ROWS = 100
MAX_ROWS = 1_000
"""Most rows of one page."""
MAX_OFFSET = 100_000
"""A call pages no further: whoever needs a whole table takes it."""
PAGING = ("limit", "offset")
"""Names in a request that page; no lookup column may bear one."""


class BadLookup(Problem):
    """The request of a table service names an unknown column, names one twice, or pages out of range."""

    kind = "bad-lookup"
    status = 400
    side = "caller"
    title = T("The table can not be asked like this")


class LookupMissing(Problem):
    """A table of personal data is asked without saying about whom."""

    kind = "lookup-missing"
    status = 400
    side = "caller"
    title = T("Say which record is wanted")


class LookupNotGranted(Problem):
    """A lookup by a field that the agreement hides would let the caller guess its values."""

    kind = "lookup-not-granted"
    status = 403
    side = "consumer"
    title = T("The agreement does not let you search by this field")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a call asks of a table: equal values by column, and which page."""

    lookup: Mapping[str, object] = field(default_factory=dict[str, object])
    limit: int = DEFAULT_ROWS
    offset: int = 0


def wanted_from_call(service: Service, query: str, body: bytes) -> Wanted:
    """What a call's query string (without ``?``) and JSON body ask for; both may name lookups, none twice.

    Raises BadLookup.
    """
    try:
        pairs: list[tuple[str, object]] = [*parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))]
        if body.strip():
            pairs += _object(orjson.loads(body)).items()
    except ValueError as wrong:
        raise BadLookup(
            T("The query or the body can not be read: send a JSON object of column names and values."),
        ) from wrong
    named = [name for name, _ in pairs]
    if len(set(named)) != len(named):
        raise BadLookup(T("A name is given twice."))
    asked = dict(pairs)
    paging = {name: _whole_number(name, asked.pop(name)) for name in PAGING if name in asked}
    wanted = Wanted(lookup=asked, **paging)
    if unknown := sorted(set(asked) - set(service.lookup)):
        raise BadLookup(
            T("{service} can not be searched by {fields}."),
            mend=T("These columns can be searched: {known}."),
            service=service.id,
            fields=", ".join(unknown)[:200],
            known=", ".join(service.lookup) or "-",
        )
    return wanted


def check_wanted(service: Service, view: View, wanted: Wanted) -> None:
    """Refuse what this service or this view does not allow to be asked."""
    check_row_filter(service, view)
    if not (1 <= wanted.limit <= MAX_ROWS and 0 <= wanted.offset <= MAX_OFFSET):
        raise BadLookup(
            T("A page has 1 to {rows} rows and starts at most at row {offset}."),
            mend=T("Take the table instead: the same agreement allows it."),
            rows=MAX_ROWS,
            offset=MAX_OFFSET,
        )
    if service.required_lookup and not wanted.lookup:
        raise LookupMissing(
            T("{service} is asked about one record at a time."),
            mend=T("Name one of: {known}."),
            service=service.id,
            known=", ".join(service.lookup),
        )
    named_by_caller = {subject.select for subject in service.subjects if subject.where == "request"}
    for name in wanted.lookup:
        if name not in service.lookup:
            raise BadLookup(T("{service} can not be searched by {fields}."), service=service.id, fields=name[:63])
        granted = view.fields is None or name in view.fields
        if name not in named_by_caller and not (granted and mask_of(view, name) is None):
            raise LookupNotGranted(
                T("The agreement hides {field}, so it can not be searched by."),
                mend=T("Ask the provider for an agreement that grants it."),
                field=name,
            )


def read_columns(service: Service, view: View) -> tuple[str, ...]:
    """Columns to read for a page: the shown ones, then those that name the person in the answer."""
    shown = [published.name for published in shown_fields(service, view)]
    persons = [subject.select for subject in service.subjects if subject.where == "response"]
    return tuple(dict.fromkeys([*shown, *persons]))


def page_limit(view: View, wanted: Wanted) -> int:
    """Rows this page may have."""
    return wanted.limit if view.limit is None else min(wanted.limit, view.limit)


def page_of(service: Service, view: View, wanted: Wanted, raw: Sequence[Sequence[object]]) -> Page:
    """The masked page of ``raw``: rows of ``read_columns``, one more than ``page_limit`` if there are more."""
    limit = page_limit(view, wanted)
    columns = read_columns(service, view)
    kept = raw[:limit]
    reached = wanted.offset + limit
    shown = [_Column.of(service, view, name, columns.index(name)) for name in _shown_names(service, view)]
    rows = tuple({column.name: column.shown(row) for column in shown} for row in kept)
    persons: list[tuple[SubjectKind, int]] = [
        (s.kind, columns.index(s.select)) for s in service.subjects if s.where == "response"
    ]
    named: dict[tuple[SubjectKind, str], None] = {}
    without = 0
    for row in kept:
        found: list[tuple[SubjectKind, str]] = [
            (kind, str(row[place])) for kind, place in persons if row[place] is not None
        ]
        for subject in found:
            named[subject] = None
        without += service.personal and not found
    more = len(raw) > limit and reached <= MAX_OFFSET
    return Page(rows, reached if more else None, tuple(named), without)


def page_json(page: Page) -> bytes:
    """The answer's body: ``{"rows": [...], "next_offset": n or null}``."""
    return orjson.dumps({"rows": page.rows, "next_offset": page.next_offset})


def cell_of(value: object) -> Cell:
    """A database value as a JSON value; see ``Cell``.  Infinite and undefined doubles become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return cast("Cell", value)


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    place: int
    mask: Callable[[Cell], Cell] | None

    @staticmethod
    def of(service: Service, view: View, name: str, place: int) -> _Column:
        kind = mask_of(view, name)
        published = cast("Field", service.field(name))
        return _Column(name, place, None if kind is None else lambda cell: mask_value(kind, published, cell))

    def shown(self, row: Sequence[object]) -> Cell:
        cell = cell_of(row[self.place])
        return cell if self.mask is None else self.mask(cell)


def _shown_names(service: Service, view: View) -> Iterable[str]:
    return (published.name for published in shown_fields(service, view))


def _object(parsed: object) -> dict[str, object]:
    if not isinstance(parsed, dict):
        raise ValueError("not an object")
    return cast("dict[str, object]", parsed)


def _whole_number(name: str, value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 7:
        raise BadLookup(T("{name} must be a whole number."), name=name)
    return int(text)
