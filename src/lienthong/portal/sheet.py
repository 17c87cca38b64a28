"""A table as people and programs take it: on a page, as a workbook, as CSV, as JSON; one description for all four.

Promises: what is downloaded is what the page lists, whole; text that a spreadsheet would run as a formula stays text;
a workbook comes first because Excel opens it in Vietnamese without asking, CSV carries a mark for the same reason.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final, Literal

import orjson
from starlette.responses import Response

from lienthong.i18n import Language, translate
from lienthong.law.text import fold
from lienthong.portal.finding import Wanted
from lienthong.portal.models import Name
from lienthong.portal.words import VIETNAM

XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PER_PAGE: Final = 50
MOST_PER_PAGE: Final = 500
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a formula can begin.  Source: OWASP, CSV injection."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How something stands, in a word with a colour and a form."""

    kind: Literal["good", "warn", "bad", "still"]
    word: str
    """A message marked with ``T``."""
    code: str
    """For programs."""


Kind = Literal["text", "code", "figure", "long"]
"""``long``: may be broken anywhere, as digests and lists of fields must be."""
Cell = str | int | Name | Mark | date | datetime | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column; ``kind`` says how its cells are shown."""

    key: str
    """For programs."""
    title: str
    """A message marked with ``T``."""
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Row:
    """One line; ``href`` is where its first cell leads, without language prefix, and ``more`` what else finds it."""

    cells: tuple[Cell, ...]
    href: str = ""
    more: str = ""

    def found_by(self, wanted: Wanted) -> bool:
        """Whether the words looked for stand in it, in either language, with or without diacritics."""
        told = (text for cell in self.cells for text in _texts(cell))
        return wanted.met_by(fold(" ".join((*told, self.more))))


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table with its head."""

    name: str
    """Of the downloaded file, without ending."""
    title: str
    """A message marked with ``T``: the table's caption."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    at: datetime
    """When its content was so."""

    def matching(self, wanted: Wanted) -> Sheet:
        """Only the rows that ``wanted`` finds."""
        if wanted.everything:
            return self
        return replace(self, rows=tuple(row for row in self.rows if row.found_by(wanted)))


@dataclass(frozen=True, slots=True)
class Part:
    """One page of a sheet's rows."""

    rows: tuple[Row, ...]
    page: int
    pages: int
    total: int


def part_of(sheet: Sheet, page: int, per_page: int = PER_PAGE) -> Part:
    """The rows of ``page``, counted from 1; the last one when there are not so many."""
    pages = max(1, -(-len(sheet.rows) // per_page))
    page = min(max(page, 1), pages)
    return Part(sheet.rows[(page - 1) * per_page : page * per_page], page, pages, len(sheet.rows))


def as_workbook(sheet: Sheet, language: Language) -> Response:
    """The sheet as ``.xlsx``: a bold head that stays in sight, numbers and days as such, widths that fit."""
    from openpyxl import Workbook  # heavy, and only needed for a download
    from openpyxl.styles import Font  # heavy, as above
    from openpyxl.utils import get_column_letter  # heavy, as above

    book = Workbook()
    page = book.worksheets[0]
    page.title = translate(sheet.title, language)[:31].translate(str.maketrans("[]:*?/\\", "       "))
    head = [translate(column.title, language) for column in sheet.columns]
    table = [[_plain(cell, language) for cell in row.cells] for row in sheet.rows]
    for line in (head, *table):
        page.append(line)
    for line in page.iter_rows():
        for cell in line:
            if isinstance(cell.value, str):
                cell.data_type = "s"  # never a formula
    for cell in page[1]:
        cell.font = Font(bold=True)
    for place in range(len(head)):
        widest = max((len(str(line[place])) for line in [head, *table] if line[place] is not None), default=8)
        page.column_dimensions[get_column_letter(place + 1)].width = min(max(widest + 2, 9), 70)
    page.freeze_panes = "A2"
    kept = io.BytesIO()
    book.save(kept)
    return _download(kept.getvalue(), XLSX, f"{sheet.name}.xlsx")


def as_csv(sheet: Sheet, language: Language) -> Response:
    """The sheet as CSV (RFC 4180) in UTF-8 with a byte order mark; text that begins like a formula gets a ``'``."""
    kept = io.StringIO()
    writer = csv.writer(kept)
    writer.writerow([translate(column.title, language) for column in sheet.columns])
    for row in sheet.rows:
        writer.writerow([_harmless(_plain(cell, language)) for cell in row.cells])
    return _download(b"\xef\xbb\xbf" + kept.getvalue().encode(), "text/csv; charset=utf-8", f"{sheet.name}.csv")


def as_json(sheet: Sheet, part: Part) -> Response:
    """One page of the sheet for programs: objects by column key, names in both languages, times in UTC."""
    body = {
        "at": sheet.at.isoformat(),
        "total": part.total,
        "page": part.page,
        "pages": part.pages,
        "rows": rows_of(sheet, part.rows),
    }
    return Response(orjson.dumps(body), media_type="application/json", headers={"Cache-Control": "no-cache"})


def rows_of(sheet: Sheet, rows: Sequence[Row] | None = None) -> list[dict[str, object]]:
    """``rows`` of the sheet, else all, as JSON values by column key."""
    return [
        {column.key: _value(cell) for column, cell in zip(sheet.columns, row.cells, strict=True)}
        for row in (sheet.rows if rows is None else rows)
    ]


def _download(content: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(content, media_type=media_type, headers=headers)


def _texts(cell: Cell) -> Iterable[str]:
    if isinstance(cell, Name):
        return cell.vi, cell.en
    if isinstance(cell, Mark):
        return translate(cell.word, "vi"), translate(cell.word, "en")
    return (str(cell),) if cell is not None else ()


def _plain(cell: Cell, language: Language) -> str | int | date | datetime | None:
    """What a spreadsheet holds: it knows no time zones, so times are Việt Nam's."""
    if isinstance(cell, Name):
        return cell.say(language)
    if isinstance(cell, Mark):
        return translate(cell.word, language)
    return cell.astimezone(VIETNAM).replace(tzinfo=None, microsecond=0) if isinstance(cell, datetime) else cell


def _harmless(value: str | int | date | datetime | None) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _value(cell: Cell) -> object:
    if isinstance(cell, Name):
        return {"vi": cell.vi, "en": cell.en}
    if isinstance(cell, Mark):
        return cell.code
    return cell.isoformat() if isinstance(cell, date) else cell


def columns_of(*listed: tuple[str, str] | tuple[str, str, Kind]) -> tuple[Column, ...]:
    """Columns from (key, title) or (key, title, kind)."""
    return tuple(Column(each[0], each[1], each[2] if len(each) == 3 else "text") for each in listed)


def sorted_rows(rows: Iterable[Row], keys: Sequence[bytes]) -> tuple[Row, ...]:
    """``rows`` in the order of ``keys`` (``law.text.sort_key`` of what they are ordered by)."""
    return tuple(row for _, row in sorted(zip(keys, rows, strict=True), key=lambda pair: pair[0]))
