"""The members, as a list, as a tree by province and commune on a day, and one by one.

Promises: an agency code is shown with whether it was verified; a member closed on or before the day is shown as closed
with its successor; a province without member is in the tree all the same, so that what is missing can be seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import ClassVar, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lienthong.directory.document import Snapshot
from lienthong.directory.models import Member, Node
from lienthong.errors import Problem, Side
from lienthong.i18n import T, translate
from lienthong.law.agencies import AgencyUnknown, province_agency
from lienthong.law.text import fold, sort_key
from lienthong.law.units import units_on
from lienthong.portal.finding import Wanted, wanted
from lienthong.portal.listing import Listing, asked_day, listing
from lienthong.portal.models import Name
from lienthong.portal.pictures import Province
from lienthong.portal.sheet import Mark, Row, Sheet, columns_of, sorted_rows
from lienthong.portal.shell import Pages, Section, Shell, both
from lienthong.web import page_language

TITLE: Final = T("Members")
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ministry": T("Ministry"),
        "agency": T("Agency"),
        "province": T("Province"),
        "commune": T("Commune"),
        "party-body": T("Party body"),
        "court": T("Court"),
        "procuracy": T("Procuracy"),
        "data-centre": T("Data centre"),
        "enterprise": T("Enterprise"),
        "university": T("University"),
        "organisation": T("Organisation"),
    }
)
VERIFIED: Final = Mark("good", T("code verified"), "verified")
UNVERIFIED: Final = Mark("warn", T("code not verified"), "unverified")
ACTIVE: Final = Mark("good", T("active"), "active")
CLOSED: Final = Mark("still", T("closed"), "closed")
COLUMNS: Final = columns_of(
    ("name", T("Member")),
    ("id", T("Id"), "code"),
    ("code", T("Agency code")),
    ("kind", T("Kind of member")),
    ("node", T("Node"), "code"),
    ("state", T("State")),
    ("successor", T("Successor"), "code"),
)


class MemberNotHere(Problem):
    """The directory lists no member with the id asked for."""

    kind: ClassVar[str] = "member-not-here"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No such member")


@dataclass(frozen=True, slots=True)
class Branch:
    """A place in the tree: a province or a block, the member that stands for it, and those under it."""

    name: Name
    member: Member | None
    under: tuple[Branch, ...] = ()

    @property
    def members(self) -> int:
        """How many members it holds, itself included."""
        return (self.member is not None) + sum(each.members for each in self.under)


@dataclass(frozen=True, slots=True)
class Listed:
    """Who took part and by which nodes."""

    members: Sequence[Member]
    nodes: Sequence[Node]
    at: datetime


def member_pages(snapshot: Callable[[], Snapshot], on: Callable[[date], Awaitable[Listed]]) -> Callable[[Shell], Pages]:
    """The pages, as a module of the portal; ``snapshot`` raises a Problem while there is no directory.

    ``on``: who took part on a day, as far as this node knows earlier versions.
    """

    async def read(request: Request) -> Sheet:
        day = asked_day(request)
        return _sheet(await on(day), day)

    async def facts(request: Request) -> dict[str, object]:
        day, looked = asked_day(request), wanted(request.query_params.get("q", ""))
        grown = tree((await on(day)).members, day)
        return {"tree": grown if looked.everything else _found_branches(grown, looked)}

    def join(shell: Shell) -> Pages:
        async def one(request: Request) -> Response:
            known = snapshot()
            member = _found(known, request)
            title = Name(member.name_vi, member.name_en).say(page_language(request))
            return shell.page(request, "member.html", title=title, member=member, directory=known, kinds=KINDS,
                              below=_under(known.contents.members, member))  # fmt: skip

        async def told(request: Request) -> Response:
            return JSONResponse(_public(snapshot(), _found(snapshot(), request)), headers={"Cache-Control": "no-cache"})

        page = Listing(
            "/members",
            TITLE,
            T("Every organisation in the data space, with its code, its node and who came after it. Type a province's "
              "old name to find what it belongs to now."),
            read,
            template="members.html",
            facts=facts,
            dated=True,
        )  # fmt: skip
        routes = (
            *listing(shell, page),
            *both("/members/{id:path}", one),
            Route("/v1/members/{id:path}", told, methods=["GET"]),
        )
        return Pages(routes, (Section("/members", TITLE),))

    return join


def tree(members: Iterable[Member], day: date) -> tuple[Branch, ...]:
    """Central bodies, then the provinces of ``day`` in their order, each with the members under it; then the rest."""
    open_ones: dict[str, Member] = {str(member.id): member for member in members if not closed_on(member, day)}
    placed: set[str] = set()

    def branch(member: Member) -> Branch:
        placed.add(member.id)
        under = sorted(
            (each for each in open_ones.values() if each.parent == member.id and each.id not in placed),
            key=lambda each: sort_key(each.name_vi),
        )
        return Branch(Name(member.name_vi, member.name_en), member, tuple(branch(each) for each in under))

    provinces: list[Branch] = []
    for unit in sorted(units_on("province", day), key=lambda unit: sort_key(unit.name)):
        member = open_ones.get(province_member(open_ones, unit.code, day))
        name = Name(unit.full_name, unit.full_name)
        provinces.append(Branch(name, None, (branch(member),)) if member else Branch(name, None))
    roots = [each for each in open_ones.values() if each.id not in placed and each.parent not in open_ones]
    central = tuple(branch(each) for each in sorted(roots, key=lambda each: sort_key(each.name_vi)))
    return (
        Branch(Name("Trung ương và các tổ chức khác", "Central bodies and other organisations"), None, central),
        Branch(Name("Tỉnh, thành phố", "Provinces"), None, tuple(provinces)),
    )


def _found_branches(branches: Iterable[Branch], looked: Wanted) -> tuple[Branch, ...]:
    """The branches that ``looked`` finds with all under them, and the way to those found further below."""
    kept: list[Branch] = []
    for each in branches:
        code = each.member.id if each.member else ""
        if looked.met_by(fold(f"{each.name.vi} {each.name.en} {code}")):
            kept.append(each)
        elif below := _found_branches(each.under, looked):
            kept.append(Branch(each.name, each.member, below))
    return tuple(kept)


def provinces(members: Iterable[Member], day: date) -> tuple[Province, ...]:
    """Every province of ``day`` with the number of members in it: its people's committee and all below."""
    counted = {branch.name.vi: branch.members for branch in tree(members, day)[1].under}
    return tuple(
        Province(unit.code, Name(unit.full_name, unit.full_name), counted.get(unit.full_name, 0))
        for unit in sorted(units_on("province", day), key=lambda unit: sort_key(unit.name))
    )


def province_member(members: Mapping[str, Member], statistics_code: str, day: date) -> str:
    """Id of the member that is the people's committee of the province; "" where nobody is."""
    try:
        code = province_agency(statistics_code, day).code
    except AgencyUnknown:
        return ""
    return next((name for name in members if name.endswith(f"/GOV/{code}")), "")


def _sheet(known: Listed, day: date) -> Sheet:
    members = known.members
    acting: dict[str, str] = {}
    for each in known.nodes:
        for member in each.members:
            acting.setdefault(member, each.id)
    rows: list[Row] = []
    for member in members:
        rows.append(
            Row(
                (
                    Name(member.name_vi, member.name_en),
                    member.id,
                    VERIFIED if member.verified else UNVERIFIED,
                    Name(*_both(KINDS[member.kind])),
                    acting.get(member.id),
                    CLOSED if closed_on(member, day) else ACTIVE,
                    member.successor if closed_on(member, day) else None,
                ),
                f"/members/{member.id}",
            )
        )
    keys = [bytes([member.state == "closed"]) + sort_key(member.name_vi) for member in members]
    return Sheet("thanh-vien", TITLE, COLUMNS, sorted_rows(rows, keys), known.at)


def _both(message: str) -> tuple[str, str]:
    return translate(message, "vi"), message


def closed_on(member: Member, day: date) -> bool:
    """Whether the member is closed on ``day``."""
    return member.state == "closed" and (member.closed_on is None or member.closed_on <= day)


def _under(members: Iterable[Member], member: Member) -> tuple[Member, ...]:
    found = (each for each in members if each.parent == member.id and each.state == "active")
    return tuple(sorted(found, key=lambda each: sort_key(each.name_vi)))


def _found(known: Snapshot, request: Request) -> Member:
    member = known.member(str(request.path_params["id"]))
    if member is None:
        raise MemberNotHere(
            T("The directory lists no member with that id."), mend=T("Search the list of members by name.")
        )
    return member


def _public(known: Snapshot, member: Member) -> dict[str, object]:
    """The member for programs: what the directory publishes."""
    node = known.node_of(member.id)
    return {
        "id": member.id,
        "name": {"vi": member.name_vi, "en": member.name_en},
        "kind": member.kind,
        "block": member.block,
        "parent": member.parent,
        "state": member.state,
        "closed_on": member.closed_on.isoformat() if member.closed_on else None,
        "successor": member.successor,
        "code_verified": member.verified,
        "security_level": member.security_level,
        "contact": {
            "name": member.contact.name,
            "position": member.contact.position,
            "phone": member.contact.phone,
            "email": member.contact.email,
        },
        "node": node.id if node else None,
        "keys": [
            {"keyid": key.keyid, "from": key.valid_from.isoformat(), "to": key.valid_to.isoformat()}
            for key in member.keys
        ],
        "directory": known.version,
    }
