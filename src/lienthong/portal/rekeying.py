"""A table of figures carried to the units of another day, on a page: what was lost, what is assumed, the table to take.

Promises: the file is not kept; every row that was left out is listed with its reason, every figure that rests on a
method says so; totals before and after stand side by side.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Final, cast

from starlette.requests import Request
from starlette.responses import Response

from lienthong.errors import Problem
from lienthong.i18n import Language, T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor
from lienthong.identity.rights import LoginNeeded, NotAllowed
from lienthong.law.units import LAST_OLD_DAY, REFORM, UnitUnknown, check_day
from lienthong.linkage.rekey import Figures, Method, Rekeyed, rekey
from lienthong.portal.forms import Form, read_form
from lienthong.portal.sheet import Cell, Column, Mark, Row, Sheet, as_csv, as_workbook
from lienthong.portal.shell import Pages, Section, Shell, both
from lienthong.portal.words import VIETNAM
from lienthong.web import page_language

TITLE: Final = T("Figures by the units of another day")
ADDRESS: Final = "/work/rekey"
MOST_BYTES: Final = 4 << 20
MOST_ROWS: Final = 20_000
MOST_SHOWN: Final = 200
MOST_COLUMNS: Final = 60
METHODS: Final = (
    ("whole", T("Leave them out and list them")),
    ("usual", T("All to the usual successor")),
    ("equal", T("Equal parts to every successor")),
)
"""What becomes of divided units."""
_FORMS: Final = (("page", T("On this page")), ("xlsx", T("Excel workbook")), ("csv", T("CSV file")))
_ASSUMED: Final = Mark("warn", T("assumed"), "assumed")
_WHOLE: Final = Mark("good", T("whole"), "whole")


def rekeying_pages() -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        async def asked(request: Request) -> Response:
            _worker(actor_of(request))
            form, made, sheet = Form(), None, None
            language = page_language(request)
            if request.method == "POST":
                form = await read_form(request, shell, most_file_bytes=MOST_BYTES)
                figures, before, after, method = _wanted(form)
                how = form.choice("how", [name for name, _ in _FORMS], required=False)
                rows = _rows(form, figures)
                if form.good:
                    made = await _made(form, rows, figures, before, after, method)
                if made is not None:
                    sheet = _sheet(made, figures)
                    if how in ("xlsx", "csv"):
                        return as_workbook(sheet, language) if how == "xlsx" else as_csv(sheet, language)
            return shell.page(
                request, "rekey.html", title=translate(TITLE, language), status=200 if form.good else 422, form=form,
                made=made, sheet=sheet, methods=METHODS, forms=_FORMS, lost=_lost(made, language), most=MOST_SHOWN,
                before=LAST_OLD_DAY, after=REFORM,
            )  # fmt: skip

        return Pages(both(ADDRESS, asked, ("GET", "POST")), (Section(ADDRESS, TITLE, group="work"),))

    return join


def _worker(actor: Actor) -> None:
    """Raise LoginNeeded or NotAllowed for whoever does not work at a member."""
    if not actor.known:
        raise LoginNeeded(
            T("This needs somebody who is signed in."), mend=T("Sign in and try again; what was typed is kept.")
        )
    if actor.member is None:
        raise NotAllowed(T("Your roles do not include this."), mend=T("Ask an operator of your agency for the role."))


def _wanted(form: Form) -> tuple[Figures, date, date, Method]:
    """The columns, days and method; notes in ``form`` what is wrong."""
    code = form.text("code", most=100)
    before, after = _day(form, "before", LAST_OLD_DAY), _day(form, "after", REFORM)
    method = form.choice("method", [name for name, _ in METHODS], required=False) or "whole"
    sums, by = (_names(form.text(name, required=False, most=2_000)) for name in ("sums", "by"))
    means: list[tuple[str, str]] = []
    for pair in _names(form.text("means", required=False, most=2_000)):
        name, colon, weight = pair.rpartition(":")
        if not colon or not name or not weight:
            form.fault("means", T("A rate needs its weight, as column:weight."))
        means.append((name, weight))
    if set(sums) & {name for name, _ in means}:
        form.fault("means", T("A column is either an amount or a rate."))
    if not sums and not means:
        form.fault("sums", T("Please name at least one column of amounts or rates."))
    return Figures(code, sums, tuple(means), by), before, after, cast("Method", method)


def _day(form: Form, name: str, default: date) -> date:
    """The day typed; notes in ``form`` one that the register does not speak of."""
    day = form.day(name) or default
    try:
        return check_day(day, datetime.now(UTC).astimezone(VIETNAM).date())
    except UnitUnknown as unknown:
        form.fault(name, unknown.message, **unknown.facts)
        return default


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _rows(form: Form, figures: Figures) -> list[dict[str, str]]:
    """The file's rows; notes in ``form`` what is wrong with it."""
    uploads = form.files("file")
    if not uploads:
        form.fault("file", T("Please choose a file."))
        return []
    try:
        table = csv.DictReader(io.StringIO(uploads[0].content.decode("utf-8-sig"), newline=""), restval="")
        has = [name.strip() for name in table.fieldnames or ()]
        table.fieldnames = has
        rows = [{name: row[name] or "" for name in has} for row, _ in zip(table, range(MOST_ROWS + 1), strict=False)]
    except (UnicodeDecodeError, csv.Error):
        form.fault("file", T("This is no text in UTF-8. Save the table as CSV, UTF-8."))
        return []
    wanted = {figures.code, *figures.sums, *figures.by, *(name for pair in figures.means for name in pair)}
    missing = sorted(wanted - set(has) - {""})
    if missing or len(has) > MOST_COLUMNS or len(set(has)) != len(has):
        form.fault("file", T("The file has no column {missing}; it has: {columns}."),
                   missing=", ".join(missing)[:200] or "-", columns=", ".join(has)[:300] or "-")  # fmt: skip
    elif not rows or len(rows) > MOST_ROWS:
        form.fault("file", T("The file must have 1 to {most} rows; the command takes any number."), most=MOST_ROWS)
    return rows


async def _made(
    form: Form, rows: Sequence[dict[str, str]], figures: Figures, before: date, after: date, method: Method
) -> Rekeyed | None:
    try:
        return await asyncio.to_thread(rekey, rows, figures, before, after, method)
    except Problem as refused:  # a cell that is no number: told with its place
        form.fault("file", refused.message, **refused.facts)
        return None


def _sheet(made: Rekeyed, figures: Figures) -> Sheet:
    """The new table: groups, unit, figures, where each row comes from and whether it rests on a method."""
    numbers = [*figures.sums, *(name for name, _ in figures.means)]
    columns = (
        *(Column(name, name) for name in figures.by),
        Column(figures.code, T("Code"), "code"),
        Column("unit_name", T("Unit")),
        *(Column(name, name, "figure") for name in numbers),
        Column("sources", T("From"), "long"),
        Column("assumed", T("Rests on")),
    )
    rows: list[Row] = []
    for row in made.rows:
        cells: list[Cell] = [row.get(name, "") for name in figures.by]
        cells += [row[figures.code], row["unit_name"], *(_figure(row[name]) for name in numbers), row["sources"]]
        rows.append(Row((*cells, _ASSUMED if row["assumed"] == "1" else _WHOLE)))
    return Sheet("so-lieu-theo-don-vi-moi", TITLE, columns, tuple(rows), datetime.now(UTC))


def _figure(text: str) -> Cell:
    """A whole number as one, so that a spreadsheet adds it up; a fraction as the exact text it is."""
    if not text:
        return None
    return int(text) if text.removeprefix("-").isdigit() else text


def _lost(made: Rekeyed | None, language: Language) -> list[tuple[int, str, str]]:
    """Row, code and reason of what was left out, the first of them."""
    if made is None:
        return []
    return [(each.row + 2, each.code, each.why.detail(language)) for each in made.lost[:MOST_SHOWN]]
