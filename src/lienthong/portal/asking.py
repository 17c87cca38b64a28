"""Where a member's operator asks for a change of the directory: its next key, its next certificate, its own end.

Promise: the request is signed by the member's own key on its own node and handed over as a file; nothing counts before
two coordinators of the national node have approved it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, Protocol, cast

from starlette.requests import Request
from starlette.responses import Response

from lienthong.errors import Problem
from lienthong.i18n import T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import NotAllowed, require
from lienthong.portal.deeds import Deed, Facts, about
from lienthong.portal.forms import Form, read_form
from lienthong.portal.shell import Pages, Section, Shell, both
from lienthong.web import page_language

TITLE: Final = T("Ask for a change of the directory")
PATH: Final = "/work/ask"
Asked = Literal["key", "certificate", "close"]
KINDS: Final[tuple[tuple[Asked, str], ...]] = (
    ("key", T("Our next signing key: the old one goes on counting to its end")),
    ("certificate", T("Our node's next certificate: shown two minutes after it is listed")),
    ("close", T("The end of our agency as a member, on a day")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a member asks for."""

    kind: Asked = about("key, certificate or close.")
    day: date | None = about("Of a closing: the first day on which the member is closed.", default=None)
    successor: str | None = about("Of a closing: id of the member that takes over.", default=None)


class AskDesk(Protocol):
    """What a member's node does for this page."""

    async def ask(self, actor: Actor, wish: Wish) -> bytes:
        """The signed request; makes the next key or certificate where one is asked for, and puts the act down."""
        ...


def ask_pages(desk: AskDesk) -> Callable[[Shell], Pages]:
    """The page module."""

    def join(shell: Shell) -> Pages:
        async def page(request: Request) -> Response:
            actor = require(actor_of(request), Right.MANAGE_NODE)
            form = await read_form(request, shell) if request.method == "POST" else Form()
            wish = _wish(form) if request.method == "POST" else None
            if wish is not None and form.good:
                try:
                    return _file(await desk.ask(actor, wish), wish.kind)
                except Problem as problem:
                    form.fault("", problem.message, **problem.facts)
            title = translate(TITLE, page_language(request))
            kinds = [(name, translate(words, page_language(request))) for name, words in KINDS]
            return shell.page(request, "ask.html", title=title, status=422 if form.wrong else 200, form=form,
                              kinds=kinds)  # fmt: skip

        return Pages(both(PATH, page, ("GET", "POST")), (Section(PATH, TITLE, Right.MANAGE_NODE, "work"),))

    return join


def ask_deeds(desk: AskDesk) -> tuple[Deed[Any], ...]:  # Any: a tuple of deeds with inputs of their own
    """Ask, by a person in front of a screen."""

    async def ask(actor: Actor, wish: Wish) -> Facts:
        return {"request": (await desk.ask(actor, wish)).decode()}

    return (
        Deed("directory/changes/ask", TITLE, Wish, ask, Right.MANAGE_NODE, problems=(NotAllowed,),
             gives={"request": "The signed request, for POST /v1/directory/changes/submit at the national node."},
             forms=(PATH,)),
    )  # fmt: skip


def _wish(form: Form) -> Wish:
    kind = form.choice("kind", [name for name, _ in KINDS])
    closing = kind == "close"
    day = form.day("day", required=closing) if closing else None
    successor = form.text("successor", required=False, most=100) if closing else ""
    return Wish(kind=cast("Asked", kind), day=day, successor=successor or None)


def _file(content: bytes, kind: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{kind}.json"', "Cache-Control": "no-store"}
    return Response(content, media_type="application/json", headers=headers)
