"""Addresses pasted or dropped as a file, each with the commune it lies in on a day.

Promises: nothing typed stays on the node, in its log or in an address of a page; nothing leaves the node; what can not
be said for certain is named (ambiguous, divided) and never guessed.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import ClassVar, Final, cast

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lienthong.errors import Problem, Side
from lienthong.i18n import Language, T, translate
from lienthong.law.units import UnitUnknown, check_day
from lienthong.linkage.address import Resolution, Status, resolve
from lienthong.linkage.explain import as_json, explanation, placed_name
from lienthong.portal.forms import Form, read_form
from lienthong.portal.sheet import Mark, Row, Sheet, as_csv, as_workbook, columns_of
from lienthong.portal.shell import Pages, Section, Shell, both
from lienthong.portal.words import VIETNAM
from lienthong.web import page_language

TITLE: Final = T("Addresses")
MOST: Final = 1_000
"""Addresses at once; more are the command's: ``lienthong address --file``."""
MOST_BYTES: Final = 512 * 1024
LONGEST: Final = 1_000
"""Characters of one address that are read here."""
MARKS: Final[dict[Status, Mark]] = {
    "exact": Mark("good", T("found"), "exact"),
    "corrected": Mark("good", T("found, corrected"), "corrected"),
    "ambiguous": Mark("warn", T("several fit"), "ambiguous"),
    "split": Mark("warn", T("divided"), "split"),
    "none": Mark("bad", T("not found"), "none"),
}
COLUMNS: Final = columns_of(
    ("address", T("Address")),
    ("unit_code", T("Code"), "code"),
    ("unit_name", T("Commune")),
    ("status", T("Status")),
    ("score", T("Certainty"), "figure"),
    ("alternatives", T("Also possible")),
    ("explanation", T("Explanation")),
)
_READ_FORMS: Final = (("page", T("On this page")), ("xlsx", T("Excel (.xlsx)")), ("csv", T("CSV")))


class AddressesRefused(Problem):
    """The list of addresses is none, or too long."""

    kind: ClassVar[str] = "addresses-refused"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The addresses can not be read")


def address_pages() -> Callable[[Shell], Pages]:
    """The page and ``POST /v1/addresses``, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        async def asked(request: Request) -> Response:
            language = page_language(request)
            form = await read_form(request, shell, most_file_bytes=MOST_BYTES) if request.method == "POST" else Form()
            sheet: Sheet | None = None
            if form.values and not form.stale:
                day = form.day("as_of", required=False) or _today()
                written = form.day("written", required=False)
                _check(form, "as_of", day)
                how = form.choice("how", [name for name, _ in _READ_FORMS], required=False)
                lines = _lines_of(form)
                if form.good:
                    sheet = await _sheet(lines, day, written, language)
                    if how in ("xlsx", "csv"):
                        return as_workbook(sheet, language) if how == "xlsx" else as_csv(sheet, language)
            return shell.page(
                request, "addresses.html", title=translate(TITLE, language), status=200 if form.good else 422,
                form=form, sheet=sheet, today=_today(), forms=_READ_FORMS, most=MOST,
            )  # fmt: skip

        return Pages(
            (*both("/addresses", asked, ("GET", "POST")), Route("/v1/addresses", told, methods=["POST"])),
            (Section("/addresses", TITLE, group="more"),),
        )

    return join


async def told(request: Request) -> Response:
    """``{"addresses": [...], "as_of": "2026-12-31", "written": null}`` -> ``{"results": [...]}``, in the same order.

    A POST although nothing changes: an address is personal data and does not belong in a URL.
    """
    language = page_language(request)
    lines, day, written = _told(await request.body())
    found = await asyncio.to_thread(_resolved, lines, day, written)
    results = [as_json(each, language) for each in found]
    return JSONResponse({"as_of": day.isoformat(), "results": results}, headers={"Cache-Control": "no-store"})


def _told(body: bytes) -> tuple[list[str], date, date | None]:
    """The addresses and days that a program asks for.  Raises AddressesRefused."""
    try:
        content: object = orjson.loads(body)
        asked = cast(dict[str, object], content) if isinstance(content, dict) else {}
        day, written = (date.fromisoformat(str(asked[name])) if asked.get(name) else None for name in _DAYS)
    except ValueError as failed:  # orjson.JSONDecodeError is one
        raise AddressesRefused(
            T("The request is no JSON with days like 2026-12-31."), mend=T("Send {example}."), example=_EXAMPLE
        ) from failed
    listed = asked.get("addresses")
    lines = cast(list[object], listed) if isinstance(listed, list) else []
    if not lines or len(lines) > MOST or not all(isinstance(line, str) for line in lines):
        raise AddressesRefused(
            T("`addresses` must be a list of 1 to {most} texts."),
            mend=T("Send {example}."),
            most=MOST,
            example=_EXAMPLE,
        )
    return [str(line) for line in lines], check_day(day or _today(), _today()), written


_DAYS: Final = ("as_of", "written")
_EXAMPLE: Final = '{"addresses": ["12 Lê Lợi, P. Bến Nghé, Q.1, TP.HCM"]}'


def _lines_of(form: Form) -> list[str]:
    """What was pasted, a line each, and the column of a file; notes in ``form`` what is wrong."""
    lines = form.lines("addresses", required=False, most=60_000).splitlines()
    for upload in form.files("file"):
        try:
            rows = list(csv.reader(io.StringIO(upload.content.decode("utf-8-sig"), newline="")))
        except (UnicodeDecodeError, csv.Error):
            form.fault("file", T("This is no text in UTF-8. Save the table as CSV, UTF-8."))
            continue
        lines += _column(rows, form)
    lines = [line for line in (each.strip() for each in lines) if line]
    if not lines and form.good:
        form.fault("addresses", T("Please paste at least one address, or choose a file."))
    if len(lines) > MOST:
        form.fault("addresses", T("At most {most} addresses at once; the command takes any number."), most=MOST)
    return lines


def _check(form: Form, name: str, day: date) -> None:
    """Note in ``form`` that the register does not speak of ``day``."""
    try:
        check_day(day, _today())
    except UnitUnknown as unknown:
        form.fault(name, unknown.message, **unknown.facts)


def _column(rows: list[list[str]], form: Form) -> list[str]:
    """The column named in the form, or the only one."""
    wanted = form.text("column", required=False)
    head = [name.strip() for name in rows[0]] if rows else []
    if wanted and wanted in head:
        place = head.index(wanted)
        return [row[place] for row in rows[1:] if len(row) > place]
    if wanted or any(len(row) > 1 for row in rows):
        form.fault("column", T("Please name the column with the addresses. The file has: {columns}."),
                   columns=", ".join(head)[:300])  # fmt: skip
        return []
    return [row[0] for row in rows if row]


def _resolved(lines: Sequence[str], day: date, written: date | None) -> list[Resolution]:
    return [resolve(line[:LONGEST], day, written) for line in lines]


async def _sheet(lines: Sequence[str], day: date, written: date | None, language: Language) -> Sheet:
    found = await asyncio.to_thread(_resolved, lines, day, written)
    rows = tuple(_row(line, each, language) for line, each in zip(lines, found, strict=True))
    return Sheet("dia-chi", TITLE, COLUMNS, rows, datetime.now(UTC))


def _row(line: str, found: Resolution, language: Language) -> Row:
    unit = found.unit
    others = "; ".join(f"{each.code} {placed_name(each)}" for each in found.alternatives)
    return Row(
        (
            line[:LONGEST], unit.code if unit else None, unit.full_name if unit else None, MARKS[found.status],
            round(found.score * 100), others or None, explanation(found, language),
        )
    )  # fmt: skip


def _today() -> date:
    return datetime.now(UTC).astimezone(VIETNAM).date()
