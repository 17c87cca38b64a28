"""Copies of other members' data beside their sources: counts for everybody, rows and corrections for the two sides.

Promises: what everybody sees are counts and names of fields; a row's key is shown to case officers of the member with
the copy and to the source's, who gets it in a case; a value is shown to nobody, because none is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from lienthong.errors import Problem
from lienthong.i18n import T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import require
from lienthong.portal.deeds import Deed, Facts, about
from lienthong.portal.forms import Form, read_form
from lienthong.portal.models import Name
from lienthong.portal.national import LABELS
from lienthong.portal.shell import Pages, Section, Shell, both, prefix_of
from lienthong.web import page_language

TITLE: Final = T("Copies beside their sources")
WORK_TITLE: Final = T("Rows that differ from the source")
MOST_SHOWN: Final = 100
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {"differs": T("Differs"), "only-here": T("The source has no such row")}
)


@dataclass(frozen=True, slots=True)
class CopyLine:
    """How one copy compares with its source."""

    copy: str
    source: str
    member: str
    """Whose copy it is."""
    owner: Name
    title: Name
    source_owner: Name
    key: str
    fields: tuple[str, ...]
    at: datetime | None
    """None: not compared yet."""
    same: int = 0
    differing: int = 0
    only_here: int = 0
    only_there: int = 0
    by_field: Mapping[str, int] = field(default_factory=dict[str, int])
    record: str = ""
    refusal: str = ""

    @property
    def rows(self) -> int:
        """Rows of the copy."""
        return self.same + self.differing + self.only_here

    @property
    def percent(self) -> str:
        """Share of the copy's rows that are as the source has them; only all of them is 100."""
        if not self.rows or self.same == self.rows:
            return "100"
        return f"{min(99.9, 100 * self.same / self.rows):.1f}"


@dataclass(frozen=True, slots=True)
class DifferingRow:
    """A row for the two sides."""

    key: str
    kind: str
    fields: tuple[str, ...]
    case: str
    """The source's case that asks for its correction; empty: not asked yet."""


class CopyDesk(Protocol):
    """What the node does for these pages."""

    async def copies(self) -> Sequence[CopyLine]:
        """Every copy of this node's members, by source."""
        ...

    async def rows(self, copy: str, most: int, after: str) -> Sequence[DifferingRow]:
        """Rows of the newest comparison, by key, from after ``after`` on."""
        ...

    async def compare(self, copy: str, actor: Actor) -> Facts:
        """Compare now; the counts."""
        ...

    async def correct(self, copy: str, keys: Sequence[str], reason: str, actor: Actor) -> Facts:
        """Ask the source to correct these rows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Which copy is compared."""

    copy: str = about("Id of the member's service over the copied table.", most=300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Which rows the source is to correct, and why."""

    copy: str = about("Id of the member's service over the copied table.", most=300)
    keys: tuple[str, ...] = about("Keys of rows that differed in the last comparison.", least=1, most=100)
    reason: str = about("How it is known that the source is wrong; goes into the case.", most=2_000, lines=True)


def copy_deeds(desk: CopyDesk, problems: tuple[type[Problem], ...]) -> tuple[Deed[Any], ...]:
    """Compare, correct."""

    async def compare(actor: Actor, wish: Comparison) -> Facts:
        require(actor, Right.LOOK_UP, _member(wish.copy))
        return await desk.compare(wish.copy, actor)

    async def correct(actor: Actor, wish: Correction) -> Facts:
        require(actor, Right.LOOK_UP, _member(wish.copy))
        return await desk.correct(wish.copy, wish.keys, wish.reason, actor)

    counts = {"copy": "Its id.", "same": "Rows as the source has them.", "differing": "Rows that differ.",
              "only_here": "Rows the source lacks.", "only_there": "Rows the copy lacks."}  # fmt: skip
    return (
        Deed("copies/compare", T("Compare a copy with its source"), Comparison, compare, Right.LOOK_UP,
             problems=problems, gives=counts, forms=("/work/copies/{id:path}",)),
        Deed("copies/correct", T("Ask the source to correct rows"), Correction, correct, Right.LOOK_UP,
             problems=problems, gives={"cases": "Ids of the source's cases, in the order of the keys."},
             forms=("/work/copies/{id:path}",)),
    )  # fmt: skip


def copy_pages(desk: CopyDesk) -> Callable[[Shell], Pages]:
    """The pages, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        rooms = _Rooms(shell, desk)
        return Pages(
            (
                *both("/copies", rooms.public),
                Route("/v1/copies", rooms.told, methods=["GET"]),
                *both("/work/copies", rooms.work),
                *both("/work/copies/{id:path}", rooms.one, ("GET", "POST")),
            ),
            (Section("/work/copies", WORK_TITLE, Right.LOOK_UP, "work"),),
        )

    return join


class _Rooms:
    def __init__(self, shell: Shell, desk: CopyDesk) -> None:
        self._shell = shell
        self._desk = desk

    async def public(self, request: Request) -> Response:
        """Counts, by the member whose data was copied."""
        lines = sorted(await self._desk.copies(), key=lambda line: (line.source, line.copy))
        by_source = [(owner, list(group)) for owner, group in groupby(lines, key=lambda line: line.source_owner)]
        title = translate(TITLE, page_language(request))
        return self._shell.page(request, "copies.html", title=title, by_source=by_source, labels=LABELS, work=False)

    async def told(self, request: Request) -> Response:
        """The same for programs."""
        copies = [
            {
                "copy": line.copy, "source": line.source, "at": line.at.isoformat() if line.at else None,
                "rows": line.rows, "same": line.same, "differing": line.differing, "only_here": line.only_here,
                "only_there": line.only_there, "by_field": dict(line.by_field), "record": line.record or None,
                "refusal": line.refusal or None,
            }
            for line in await self._desk.copies()
        ]  # fmt: skip
        return JSONResponse({"copies": copies}, headers={"Cache-Control": "no-store"})

    async def work(self, request: Request) -> Response:
        """The copies of the officer's member."""
        actor = require(actor_of(request), Right.LOOK_UP)
        lines = [line for line in await self._desk.copies() if line.member == actor.member]
        by_source = [(owner, list(group)) for owner, group in groupby(lines, key=lambda line: line.source_owner)]
        title = translate(WORK_TITLE, page_language(request))
        return self._shell.page(request, "copies.html", title=title, by_source=by_source, labels=LABELS, work=True)

    async def one(self, request: Request) -> Response:
        """One copy: its differing rows; compare again, ask for corrections."""
        copy = str(request.path_params["id"])
        actor = require(actor_of(request), Right.LOOK_UP, _member(copy))
        form, status, done = Form(), 200, ""
        if request.method == "POST":
            form = await read_form(request, self._shell)
            done = await self._done(form, copy, actor)
            if done:
                return RedirectResponse(f"{prefix_of(request)}/work/copies/{quote(copy)}?done={done}", 303)
            status = 422
        line = next((each for each in await self._desk.copies() if each.copy == copy), None)
        rows = await self._desk.rows(copy, MOST_SHOWN + 1, "")
        return self._shell.page(
            request, "copy.html", title=translate(WORK_TITLE, page_language(request)), status=status, form=form,
            line=line, rows=rows[:MOST_SHOWN], more=len(rows) > MOST_SHOWN, kinds=KINDS, labels=LABELS, copy=copy,
            done=request.query_params.get("done", ""),
        )  # fmt: skip

    async def _done(self, form: Form, copy: str, actor: Actor) -> str:
        """What was done, for the address to come back to; "" when something is wrong with the form."""
        deed = form.choice("deed", ("compare", "correct"))
        keys = form.all_said("rows")
        reason = form.lines("reason", most=2_000) if deed == "correct" else ""
        if deed == "correct" and not 0 < len(keys) <= MOST_SHOWN:
            form.fault("rows", T("Please choose the rows that the source has wrong."))
        if not form.good:
            return ""
        try:
            if deed == "compare":
                await self._desk.compare(copy, actor)
            else:
                await self._desk.correct(copy, keys, reason, actor)
        except Problem as refused:
            form.fault("", refused.message, **refused.facts)
            return ""
        return "compared" if deed == "compare" else "asked"


def _member(service: str) -> str:
    return "/".join(service.split("/")[:3])
