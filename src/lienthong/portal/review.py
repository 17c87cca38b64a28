"""Reviewing what the matcher was unsure of: pairs side by side, entities with their history, by four eyes.

Promises: only data officers of the member whose records these are see them; an address holds numbers of records, never
an identifier, a name or anything typed; whoever sees records leaves a line in the audit first; what one person has said
of a pair is not shown to the second.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lienthong.entities.models import SHOWN, Found, Overview, Pair, Whole
from lienthong.entities.words import FIELD_WORDS, LEVEL_WORDS
from lienthong.errors import Problem
from lienthong.i18n import T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import require
from lienthong.portal.forms import Form, read_form
from lienthong.portal.shell import Pages, Section, Shell, both, prefix_of
from lienthong.web import page_language

TITLE: Final = T("Records that may mean one person")
PATH: Final = "/work/review"
ON_A_PAGE: Final = 50
LABELS: Final[Mapping[str, str]] = {
    "name": T("Name"), "birth": T("Birth"), "gender": T("Gender"), "number": T("Personal number or old card"),
    "phone": T("Telephone"), "unit": T("Commune"), "street": T("Street"),
}  # fmt: skip
KINDS: Final[Mapping[str, str]] = {"merge": T("joined"), "split": T("parted"), "undo": T("undone")}
DONE: Final[Mapping[str, str]] = {
    "kept": T("Kept. It counts when another data officer says the same."),
    "counts": T("Done: two persons say so."),
}
ASKED: Final = ("name", "birth", "number", "phone", "street")
_PAIR: Final = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")


class ReviewDesk(Protocol):
    """What the node does for these pages.  What shows records puts the look down first."""

    @property
    def member(self) -> str:
        """Whose records these are."""
        ...

    async def overview(self, actor: Actor, most: int, skip: int) -> Overview | None:
        """What waits; None when nothing was matched yet."""
        ...

    async def pair(self, actor: Actor, a: int, b: int) -> Pair:
        """Two records side by side."""
        ...

    async def judge(self, actor: Actor, a: int, b: int, *, same: bool) -> bool:
        """Say that they are one person, or two; True when it took effect."""
        ...

    async def entity(self, actor: Actor, r: int) -> Whole:
        """The entity of a record."""
        ...

    async def undo(self, actor: Actor, r: int, number: int) -> bool:
        """Say that a change of that record's entity was wrong; True when it is undone."""
        ...

    async def named(self, actor: Actor, first: str, second: str) -> tuple[int, int]:
        """The numbers of two records named by their identifiers."""
        ...

    async def find(self, actor: Actor, record: Mapping[str, str]) -> list[Found]:
        """Entities that a record may mean."""
        ...


def review_pages(desk: ReviewDesk) -> Callable[[Shell], Pages]:
    """The pages, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        rooms = _Rooms(shell, desk)
        post = ("GET", "POST")
        return Pages(
            (
                *both(PATH, rooms.waiting, post),
                *both(f"{PATH}/pairs/{{pair}}", rooms.pair, post),
                *both(f"{PATH}/records/{{record}}", rooms.entity, post),
            ),
            (Section(PATH, TITLE, Right.REVIEW_RECORDS, "work"),),
        )

    return join


@dataclass(frozen=True, slots=True)
class _Sent:
    """What became of a form: where to go on, or the form and what was found."""

    form: Form
    to: str = ""
    found: list[Found] | None = None


class _Rooms:
    def __init__(self, shell: Shell, desk: ReviewDesk) -> None:
        self._shell = shell
        self._desk = desk

    def _actor(self, request: Request) -> Actor:
        return require(actor_of(request), Right.REVIEW_RECORDS, self._desk.member)

    async def waiting(self, request: Request) -> Response:
        """Pairs that wait, the way to any two records, and the look-up of one."""
        actor, sent = self._actor(request), _Sent(Form())
        if request.method == "POST":
            sent = await self._asked(await read_form(request, self._shell), actor)
            if sent.to:
                return RedirectResponse(prefix_of(request) + sent.to, 303)
        told = request.query_params.get("page", "1")
        page = int(told) if told.isascii() and told.isdigit() and len(told) < 7 else 1
        seen = await self._desk.overview(actor, ON_A_PAGE, ON_A_PAGE * (max(1, page) - 1))
        pages = 0 if seen is None else -(-seen.pairs // ON_A_PAGE)
        return self._shell.page(
            request, "review.html", title=translate(TITLE, page_language(request)),
            status=422 if sent.form.wrong else 200, form=sent.form, found=sent.found, seen=seen, page=page, pages=pages,
            path=PATH, fields=FIELD_WORDS, levels=LEVEL_WORDS, asked=[(name, LABELS[name]) for name in ASKED],
        )  # fmt: skip

    async def _asked(self, form: Form, actor: Actor) -> _Sent:
        """Two records by their identifiers, or a look-up: typed here, so that it stands in no address."""
        deed = form.choice("deed", ("compare", "find"))
        try:
            if deed == "compare":
                first, second = form.text("first"), form.text("second")
                if form.good:
                    a, b = await self._desk.named(actor, first, second)
                    return _Sent(form, f"{PATH}/pairs/{a}-{b}")
            elif deed == "find":
                typed = {name: form.text(name, required=False) for name in ASKED}
                if not any(typed.values()):
                    form.fault("name", T("Please fill this in."))
                if form.good:
                    return _Sent(form, found=await self._desk.find(actor, typed))
        except Problem as refused:
            form.fault("", refused.message, **refused.facts)
        return _Sent(form)

    async def pair(self, request: Request) -> Response:
        """Two records side by side, why they may be one, and the verdict."""
        actor, form = self._actor(request), Form()
        read = _PAIR.fullmatch(str(request.path_params["pair"]))
        a, b = (int(read[1]), int(read[2])) if read else (-1, -1)
        if request.method == "POST":
            form = await read_form(request, self._shell)
            verdict = form.choice("verdict", ("same", "different"))
            if form.good:
                counts = await self._desk.judge(actor, a, b, same=verdict == "same")
                done = "counts" if counts else "kept"
                return RedirectResponse(f"{prefix_of(request)}{PATH}/pairs/{a}-{b}?done={done}", 303)
        pair = await self._desk.pair(actor, a, b)
        return self._shell.page(
            request, "review_pair.html", title=translate(TITLE, page_language(request)),
            status=422 if form.wrong else 200, form=form, pair=pair, path=PATH, shown=SHOWN, labels=LABELS,
            fields=FIELD_WORDS, levels=LEVEL_WORDS, done=DONE.get(request.query_params.get("done", "")),
        )  # fmt: skip

    async def entity(self, request: Request) -> Response:
        """An entity: its records, what waits, how it came about and what may be undone."""
        actor, form = self._actor(request), Form()
        told = str(request.path_params["record"])
        r = int(told) if told.isascii() and told.isdigit() and len(told) < 10 else -1
        if request.method == "POST":
            form = await read_form(request, self._shell)
            number = form.whole("number", least=1, most=2**31 - 1)
            if form.good and number is not None:
                try:
                    done = "counts" if await self._desk.undo(actor, r, number) else "kept"
                    return RedirectResponse(f"{prefix_of(request)}{PATH}/records/{r}?done={done}", 303)
                except Problem as refused:
                    form.fault("", refused.message, **refused.facts)
        entity = await self._desk.entity(actor, r)
        return self._shell.page(
            request, "review_entity.html", title=translate(TITLE, page_language(request)),
            status=422 if form.wrong else 200, form=form, entity=entity, here=r, path=PATH, shown=SHOWN, labels=LABELS,
            kinds=KINDS, fields=FIELD_WORDS, levels=LEVEL_WORDS, done=DONE.get(request.query_params.get("done", "")),
        )  # fmt: skip
