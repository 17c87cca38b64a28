"""How much of each province is connected, on a day: its people's committee and its communes, on a map and as a table.

Promises: connected is who is an open member and has a node that acts for it, nothing less; a province where nobody is
connected is listed all the same; every figure of the map stands in the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from starlette.requests import Request

from lienthong.directory.models import Member
from lienthong.i18n import T
from lienthong.law.rules import Rule, RuleUnknown, rule
from lienthong.law.shapes import FIRST_DAY
from lienthong.law.text import sort_key
from lienthong.law.units import units_on
from lienthong.portal.finding import wanted
from lienthong.portal.listing import Listing, asked_day, listing
from lienthong.portal.mapfiles import Draw, MapSheet, map_routes, province_name
from lienthong.portal.members import Listed, closed_on, province_member
from lienthong.portal.sheet import Mark, Row, Sheet, columns_of
from lienthong.portal.shell import Pages, Section, Shell

TITLE: Final = T("Connection coverage")
CONNECTED: Final = Mark("good", T("connected"), "connected")
NO_NODE: Final = Mark("warn", T("member without a node"), "no-node")
NO_MEMBER: Final = Mark("still", T("no member yet"), "no-member")
COLUMNS: Final = columns_of(
    ("name", T("Province")),
    ("code", T("Code"), "code"),
    ("committee", T("People's committee")),
    ("bodies", T("Bodies: province and communes"), "figure"),
    ("members", T("Members"), "figure"),
    ("connected", T("Connected"), "figure"),
    ("share", T("Share, %"), "figure"),
)


@dataclass(frozen=True, slots=True)
class Cover:
    """One province on a day."""

    code: str
    committee: Mark
    bodies: int
    members: int
    connected: int

    @property
    def share(self) -> int:
        """Per cent of the bodies, rounded up while there are any, down below all."""
        exact = 100 * self.connected / self.bodies
        return min(99, max(1, round(exact))) if 0 < self.connected < self.bodies else round(exact)


def coverage(listed: Listed, day: date) -> tuple[Cover, ...]:
    """Every province of ``day`` by its name."""
    open_ones = {str(each.id): each for each in listed.members if not closed_on(each, day)}
    served = {str(member) for node in listed.nodes for member in node.members} & open_ones.keys()
    above = {unit.code: unit.parent or "" for unit in units_on("district", day)}
    communes = Counter(above.get(unit.parent or "", unit.parent) for unit in units_on("commune", day))
    found: list[Cover] = []
    for unit in sorted(units_on("province", day), key=lambda unit: sort_key(unit.name)):
        committee = province_member(open_ones, unit.code, day)
        below = {committee, *_communes_of(committee, open_ones)} - {""}
        state = CONNECTED if committee in served else NO_NODE if committee else NO_MEMBER
        found.append(Cover(unit.code, state, communes[unit.code] + 1, len(below), len(below & served)))
    return tuple(found)


def coverage_pages(read: Callable[[date], Awaitable[Listed]], draw: Draw) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    async def shown(request: Request) -> MapSheet:
        day = asked_day(request)
        listed = await read(day)
        found = coverage(listed, day)
        rows = tuple(
            Row((province_name(each.code, day), each.code, each.committee, each.bodies, each.members, each.connected,
                 each.share))
            for each in found
        )  # fmt: skip
        return MapSheet(
            title=TITLE,
            legend=T("Connected, %"),
            day=day,
            steps=(5, 25, 50, 90),
            coloured="share",
            codes=tuple(each.code for each in found),
            sheet=Sheet("do-phu-ket-noi", TITLE, COLUMNS, rows, listed.at),
            none=T("nobody connected"),
        )

    async def sheet(request: Request) -> Sheet:
        return (await shown(request)).sheet

    async def facts(request: Request) -> Mapping[str, object]:
        found = (await shown(request)).matching(wanted(request.query_params.get("q", ""))).sheet.rows
        return {
            "provinces": len(found),
            "committees": sum(row.cells[2] is CONNECTED for row in found),
            "bodies": _sum(found, 3),
            "connected": _sum(found, 5),
            "deadline": _deadline(asked_day(request)),
            "mapped": asked_day(request) >= FIRST_DAY,
        }

    def join(shell: Shell) -> Pages:
        lead = T(
            "Which share of the people's committees of provinces and communes is connected through a node, on the day"
            " you ask for. Type a province, by its old name too."
        )
        page = Listing("/coverage", TITLE, lead, sheet, template="coverage.html", facts=facts, dated=True)
        routes = (*listing(shell, page), *map_routes("coverage", shown, draw, table=False))
        return Pages(routes, (Section("/coverage", TITLE, group="more"),))

    return join


def _communes_of(committee: str, open_ones: Mapping[str, Member]) -> Iterable[str]:
    """Open members of kind commune under the province, however deep."""
    if not committee:
        return
    waiting, seen = [committee], {committee}
    children: dict[str, list[str]] = {}
    for each in open_ones.values():
        children.setdefault(str(each.parent), []).append(str(each.id))
    while waiting:
        for below in children.get(waiting.pop(), ()):
            if below not in seen:
                seen.add(below)
                waiting.append(below)
                if open_ones[below].kind == "commune":
                    yield below


def _deadline(day: date) -> Rule | None:
    """Until when bodies of the State must be connected (R-48); None on days that knew no such rule."""
    try:
        return rule("connection-deadline", day)
    except RuleUnknown:
        return None


def _sum(rows: Iterable[Row], place: int) -> int:
    return sum(cell for row in rows if isinstance(cell := row.cells[place], int))
