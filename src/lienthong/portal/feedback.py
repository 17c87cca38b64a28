"""A word about any page: it becomes a case of the kind ``feedback``, and whoever sent it gets a code to ask for it.

Promises: nobody has to sign in; the page is named by its path alone, without query and without the secrets of one-time
links; sent twice it is one case; from one place only so many come in an hour, and of the place nothing is kept.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from ipaddress import ip_address
from typing import ClassVar, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lienthong.cases.kinds import STATES
from lienthong.cases.models import Case
from lienthong.cases.opening import LONGEST_TEXT, Wish, open_case
from lienthong.cases.queries import case_by_id
from lienthong.errors import Problem, Side
from lienthong.i18n import T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import may
from lienthong.portal.forms import Form, read_form
from lienthong.portal.shell import Pages, Shell, both, prefix_of
from lienthong.storage.pool import Pool, reading
from lienthong.web import page_language

TITLE: Final = T("Tell us about this page")
KIND: Final = "feedback"
MOST_PATH: Final = 150
OWN_ROOMS: Final = ("/login", "/mine", "/account", "/feedback", "/persons")
"""What follows these in an address is a secret, or somebody's own: the room alone is named."""
_PATH: Final = re.compile(r"/(?![/\\])[^\s?#\\]*")
_CODE: Final = re.compile(r"[0-9a-f]{16}")
WINDOW_S: Final = 3600.0


class TooMuchFeedback(Problem):
    """So much feedback came from one place within an hour that more is not taken for a while."""

    kind: ClassVar[str] = "too-much-feedback"
    status: ClassVar[int] = 429
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Too much feedback at once")


class NoSuchFeedback(Problem):
    """No feedback has this code."""

    kind: ClassVar[str] = "no-such-feedback"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No feedback has this code")


@dataclass(slots=True)
class Limit:
    """How much comes in an hour; places are known by a keyed hash, in memory, until the hour is over."""

    of_one: int = 20
    of_all: int = 600
    """Also from this very machine, where a proxy makes all visitors one place."""
    clock: Callable[[], float] = time.monotonic
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _came: dict[bytes, list[float]] = field(default_factory=dict[bytes, list[float]])

    def take(self, place: str) -> None:
        """Count one more from ``place``; raises TooMuchFeedback."""
        now = self.clock()
        self._came = {
            key: left for key, moments in self._came.items() if (left := [at for at in moments if at > now - WINDOW_S])
        }
        own = self._came.get(key := hmac.digest(self._key, place.encode(), "sha256"), [])
        most = self.of_all if _is_loopback(place) else self.of_one
        if len(own) >= most or sum(map(len, self._came.values())) >= self.of_all:
            raise TooMuchFeedback(
                T("Much feedback came from here within an hour; what you typed is kept on the page."),
                mend=T("Send it again in an hour."),
            )
        self._came[key] = [*own, now]


def feedback_pages(pool: Pool, owner: str, limit: Limit | None = None) -> Callable[[Shell], Pages]:
    """The form and the answer, as a module of the portal; ``owner`` is the member that must act."""
    limit = limit or Limit()

    def join(shell: Shell) -> Pages:
        desk = Feedback(shell, pool, owner, limit)
        return Pages(
            (
                *both("/feedback", desk.write, ("GET", "POST")),
                *both("/feedback/{code}", desk.sent),
            )
        )

    return join


class Feedback:
    """The handlers."""

    def __init__(self, shell: Shell, pool: Pool, owner: str, limit: Limit) -> None:
        self._shell = shell
        self._pool = pool
        self._owner = owner
        self._limit = limit

    async def write(self, request: Request) -> Response:
        """The form; what was typed comes back when it is not taken."""
        form, status = Form(), 200
        if request.method == "POST":
            form = await read_form(request, self._shell)
            text = form.lines("text", most=LONGEST_TEXT)
            if form.good:
                try:
                    case = await self._opened(request, form, text)
                except Problem as refused:
                    form.fault("", refused.message, **refused.facts)
                    status = refused.status
                else:
                    return RedirectResponse(f"{prefix_of(request)}/feedback/{case.id}", 303)
            status = status if status != 200 else 422
        about = page_path(form.said("page") or request.query_params.get("page", ""))
        return self._page(request, "feedback.html", TITLE, status, form=form, about=about)

    async def sent(self, request: Request) -> Response:
        """How the feedback stands, for whoever has its code."""
        code = str(request.path_params["code"])
        async with reading(self._pool) as db:
            case = await case_by_id(db, code) if _CODE.fullmatch(code) else None
        if case is None or case.kind != KIND:
            raise NoSuchFeedback(
                T("There is no feedback with this code."), mend=T("Compare it with the one that was shown.")
            )
        return self._page(request, "feedback_sent.html", T("Your feedback"), case=case, states=STATES)

    async def _opened(self, request: Request, form: Form, text: str) -> Case:
        about, actor = page_path(form.said("page")), _opener(request)
        self._limit.take(request.client.host if request.client else "")
        wish = Wish(KIND, self._owner, about, text, facts={"page": about})
        once = sha256(b"feedback\x00" + form.key.encode()).hexdigest() if form.key else None
        async with reading(self._pool) as db:
            return await open_case(db, wish, by=actor, now=datetime.now(UTC), once=once)

    def _page(self, request: Request, template: str, title: str, status: int = 200, **facts: object) -> Response:
        shown = translate(title, page_language(request))
        return self._shell.page(request, template, title=shown, status=status, **facts)


def page_path(told: str) -> str:
    """The path of the page that feedback is about, in Vietnamese: no query, no other site, no one-time secret."""
    path = told.split("?")[0].split("#")[0].removeprefix("/en") or "/"
    if not _PATH.fullmatch(path) or len(path) > MOST_PATH or not path.isprintable():
        return "/"
    return next((room for room in OWN_ROOMS if path == room or path.startswith(room + "/")), path)


def _opener(request: Request) -> Actor | None:
    """Who follows the case later; None for whoever is not signed in: then the code alone leads to it."""
    actor = actor_of(request)
    return actor if may(actor, Right.OPEN_CASES) else None


def _is_loopback(place: str) -> bool:
    try:
        return ip_address(place).is_loopback
    except ValueError:
        return False
