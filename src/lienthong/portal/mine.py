""" "Của tôi": what a citizen finds here - who used data about them, and what became of what they asked.

Promises: only who an identity provider vouches for with two factors comes in; a use of data about somebody else, and
one that there is not, look the same; from a use leads a form to the citizen's rights, each with its legal time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType
from typing import ClassVar, Final, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from lienthong.cases.kinds import STATES, kind_on
from lienthong.cases.models import Case
from lienthong.cases.opening import LONGEST_TEXT, Wish, open_case
from lienthong.cases.queries import cases_of_opener
from lienthong.errors import Problem, Side
from lienthong.i18n import T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Assurance, Right
from lienthong.identity.rights import require
from lienthong.law.calendar import last_day
from lienthong.portal.forms import Form, read_form
from lienthong.portal.models import Name
from lienthong.portal.shell import Pages, Section, Shell, both, prefix_of
from lienthong.portal.words import WAYS, day, word
from lienthong.storage.pool import Pool, reading
from lienthong.web import answer_language, page_language

TITLE: Final = T("Mine")
MOST_CASES: Final = 100
CORRECTION: Final = "correction"
_RECORD: Final = re.compile(r"[0-9a-f]{64}")
MATTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "view": T("Show me the data that was used"),
        "edit": T("Change data about me"),
        CORRECTION: T("The data about me are wrong"),
        "obtain": T("Give me a copy"),
        "restrict": T("Restrict its use"),
        "object": T("I object to this use"),
        "delete": T("Delete data about me"),
        "withdraw": T("I withdraw my consent"),
    }
)
"""What can be asked for: the matters of a rights request (Luật 91/2025/QH15, Đ4), and a reported error."""


class NoSuchUse(Problem):
    """There is no use of data about this person under that address."""

    kind: ClassVar[str] = "no-such-use"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No such use of your data")


class HigherLevelNeeded(Problem):
    """The identity provider vouched with too low a level for what is only the person's own."""

    kind: ClassVar[str] = "higher-level-needed"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Please sign in with a higher level")


@dataclass(frozen=True, slots=True)
class OwnUse:
    """One use of data about the citizen who looks."""

    record: str
    """Hash of its record, hexadecimal: the receipt is found under it."""
    at: datetime
    consumer: Name
    provider: Name
    provider_id: str
    title: Name
    resource: str
    way: str
    purpose: Name | None
    purpose_code: str


@dataclass(frozen=True, slots=True)
class OwnUses:
    """The newest uses."""

    uses: tuple[OwnUse, ...]
    left: int
    """Records that were not looked through yet."""
    known: bool
    """False: the provider told no personal number, so nothing can be found."""


class OwnUsesDesk(Protocol):
    """What the node does for these pages."""

    async def uses(self, actor: Actor) -> OwnUses:
        """The newest uses of data about ``actor``."""
        ...

    async def use(self, actor: Actor, record: str) -> OwnUse | None:
        """One of them; None when it is about somebody else."""
        ...


@dataclass(frozen=True, slots=True)
class CaseLine:
    """A case the citizen opened."""

    case: Case
    kind: Name
    late: bool


def mine_pages(pool: Pool, desk: OwnUsesDesk) -> Callable[[Shell], Pages]:
    """The pages, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        rooms = Mine(shell, pool, desk)
        return Pages(
            (
                *both("/mine", rooms.mine),
                *both("/mine/uses/{record_hash}", rooms.use, ("GET", "POST")),
                Route("/v1/mine", rooms.told, methods=["GET"]),
            ),
            (Section("/mine", TITLE, Right.SEE_OWN, "own"),),
        )

    return join


class Mine:
    """The handlers."""

    def __init__(self, shell: Shell, pool: Pool, desk: OwnUsesDesk) -> None:
        self._shell = shell
        self._pool = pool
        self._desk = desk

    async def mine(self, request: Request) -> Response:
        """What there is of one's own."""
        actor = _sure(request)
        found = await self._desk.uses(actor)
        opened = request.query_params.get("opened", "")
        cases = await self._cases(actor)
        return self._page(request, "mine.html", TITLE, found=found, cases=cases, states=STATES, opened=opened)

    async def use(self, request: Request) -> Response:
        """One use, and what one may ask about it."""
        actor = _sure(request)
        record = str(request.path_params["record_hash"])
        use = await self._desk.use(actor, record) if _RECORD.fullmatch(record) else None
        if use is None:
            raise NoSuchUse(T("No use of data about you has this address."), mend=T("Start from the page Mine."))
        form = Form()
        if request.method == "POST":
            form = await read_form(request, self._shell)
            case = await self._opened(request, form, use, actor)
            if case is not None:
                return RedirectResponse(f"{prefix_of(request)}/mine?opened={case.id}", 303)
        status = 422 if form.wrong else 200
        language = page_language(request)
        options = [(matter, translate(words, language)) for matter, words in MATTERS.items()]
        return self._page(
            request,
            "own_use.html",
            T("A use of data about you"),
            status,
            use=use,
            form=form,
            options=options,
            ways=WAYS,
        )

    async def told(self, request: Request) -> Response:
        """The same for programs."""
        actor, language = _sure(request), answer_language(request)
        found = await self._desk.uses(actor)
        uses = [
            {
                "record": use.record,
                "at": use.at.isoformat(),
                "consumer": use.consumer.say(language),
                "provider": use.provider_id,
                "service": use.resource,
                "way": use.way,
                "purpose": use.purpose.say(language) if use.purpose else use.purpose_code,
                "receipt": f"/log/receipt/{use.record}",
            }
            for use in found.uses
        ]
        cases = [
            {"id": line.case.id, "kind": line.case.kind, "state": line.case.state, "late": line.late,
             "until": last_day(line.case.due).isoformat() if line.case.due else None}
            for line in await self._cases(actor)
        ]  # fmt: skip
        body = {"uses": uses, "not_looked_through": found.left, "number_known": found.known, "cases": cases}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def _cases(self, actor: Actor) -> Sequence[CaseLine]:
        now = datetime.now(UTC)
        async with reading(self._pool) as db:
            found = await cases_of_opener(db, str(actor.person), most=MOST_CASES)
        kinds = {case.id: kind_on(case.kind, case.opened_on) for case in found}
        return [
            CaseLine(case, Name(kinds[case.id].title_vi, kinds[case.id].title_en), case.overdue(now)) for case in found
        ]

    async def _opened(self, request: Request, form: Form, use: OwnUse, actor: Actor) -> Case | None:
        """The case; None when something is wrong with the form."""
        matter, text = form.choice("matter", MATTERS), form.lines("text", most=LONGEST_TEXT, required=False)
        if not form.good:
            return None
        language = page_language(request)
        title = translate(
            T("{what}: {service}, {day}"), language,
            what=word(MATTERS, matter, language), service=use.title.say(language), day=day(use.at, language),
        )  # fmt: skip
        facts = {"record": use.record, "service": use.resource}
        wish = (
            Wish(CORRECTION, use.provider_id, title[:200], text, facts=facts)
            if matter == CORRECTION
            else Wish("rights-request", use.provider_id, title[:200], text, matter, facts=facts)
        )
        once = sha256(b"mine\x00" + form.key.encode()).hexdigest() if form.key else None
        try:
            async with reading(self._pool) as db:
                return await open_case(db, wish, by=actor, now=datetime.now(UTC), once=once)
        except Problem as refused:
            form.fault("", refused.message, **refused.facts)
            return None

    def _page(self, request: Request, template: str, title: str, status: int = 200, **facts: object) -> Response:
        told = translate(title, page_language(request))
        return self._shell.page(request, template, title=told, status=status, **facts)


def _sure(request: Request) -> Actor:
    actor = require(actor_of(request), Right.SEE_OWN)
    if actor.assurance < Assurance.TWO_FACTORS:
        raise HigherLevelNeeded(
            T("Your provider vouched for you with too low a level for your own data."),
            mend=T("Sign out, and sign in again with the second level."),
        )
    return actor
