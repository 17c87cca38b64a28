"""What every page has around it: language, whose portal it is, who is looking, where one can go, its forms' token.

A page module is ``def some_pages(shell: Shell) -> Pages``: it makes its routes with ``both`` and renders with
``Shell.page``.  Promises: every page exists under ``/`` and ``/en/``; a section that needs a right is shown only to
those who have it (showing is not allowing: the handler asks for the right); pages may run scripts of this node alone.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from lienthong.i18n import Language
from lienthong.portal.models import Name
from lienthong.portal.render import render
from lienthong.web import page_language

PAGE_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""A page takes everything, scripts too, from this node's own files; nothing inline."""

Theme = Literal["light", "dark", "auto"]
THEME_COOKIE: Final = "theme"
Page = Callable[[Request], Awaitable[Response]]


class Visitor(Protocol):
    """Who is looking, as the layer of sign-in leaves it in ``request.state.actor``; absent means nobody signed in."""

    @property
    def name(self) -> str:
        """Shown in the head of the page; empty for nobody."""
        ...

    @property
    def session(self) -> str | None:
        """Id of the session; None for nobody."""
        ...

    @property
    def member(self) -> str | None:
        """The member the visitor works for; None for citizens."""
        ...


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the navigation."""

    path: str
    """Address without language prefix."""
    title: str
    """A message marked with ``T``."""
    right: str | None = None
    """Only shown to those who have this right; None: to everybody, in the group ``work`` to all who work here."""
    group: Literal["public", "more", "work", "own"] = "public"
    """``public``: for everybody; ``more``: for everybody too, a step away; ``work``: the rooms of those who work here;
    ``own``: the visitor's own pages."""


@dataclass(frozen=True, slots=True)
class Pages:
    """What a page module brings: its routes, in both languages, and its entries in the navigation."""

    routes: tuple[BaseRoute, ...]
    sections: tuple[Section, ...] = ()


OUR_NAME: Final = Name("Liên Thông", "Liên Thông")


@dataclass(frozen=True, slots=True)
class Look:
    """The operator's own face of the portal."""

    name: Name = OUR_NAME
    """Stands in the head of every page."""
    emblem_file: Path | None = None
    """SVG or PNG file of the operator's emblem; None: the program's own."""
    synthetic: bool = False
    """Whether this node serves made-up data only."""

    @property
    def emblem(self) -> str:
        """Address of the emblem on this node."""
        return "/emblem" if self.emblem_file else "/static/mark.svg"


@dataclass(frozen=True, slots=True)
class Frame:
    """What the templates know of the page they stand on, as ``frame``."""

    look: Look = field(default_factory=Look)
    actor: Visitor | None = None
    sections: tuple[Section, ...] = ()
    here: str = ""
    """Address without language prefix, "" on a page that has none (an error)."""
    query: str = ""
    """What stands behind the address, with its question mark: kept when the language is changed."""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """How much waits behind an entry of the navigation, by its path."""
    theme: Theme = "auto"
    token: str = ""
    """To be sent with every form; see ``lienthong.portal.forms``."""

    def of(self, *groups: str) -> tuple[Section, ...]:
        """The entries of some groups; the one that the page belongs to is never a step away."""
        here = {section.path: "public" for section in self.sections if section.group == "more" and self.under(section)}
        return tuple(section for section in self.sections if here.get(section.path, section.group) in groups)

    def under(self, section: Section) -> bool:
        """Whether the page belongs to ``section``."""
        return self.here == section.path or (section.path != "/" and self.here.startswith(section.path + "/"))

    def form_key(self) -> str:
        """A new key for one form, so that sending it twice does one thing."""
        return secrets.token_urlsafe(18)


class Shell:
    """Renders pages; one for the public listener's application."""

    def __init__(
        self,
        look: Look | None = None,
        *,
        secret: bytes | None = None,
        may: Callable[[Visitor, str], bool] = lambda actor, right: False,
    ) -> None:
        """``secret`` makes the forms' tokens: the same in every process and every start.  ``may``: who has a right."""
        self.look = look or Look()
        self._secret = secret or secrets.token_bytes(32)
        self._may = may
        self.sections: tuple[Section, ...] = ()
        """Filled by ``create_portal`` once every page module has joined."""

    def page(self, request: Request, template: str, *, title: str, status: int = 200, **facts: object) -> Response:
        """``template`` (which extends ``base.html``) with ``facts``, and around it what every page has.

        ``title`` is shown as it stands: translate it first (``say`` of a Name, or ``translate``).
        """
        body = render(template, page_language(request), frame=self.frame(request), title=title, **facts)
        headers = {"Cache-Control": "no-store", "Content-Security-Policy": PAGE_POLICY}
        return HTMLResponse(body, status, headers)

    def frame(self, request: Request) -> Frame:
        """What stands around the page that answers ``request``."""
        actor = visitor(request)
        theme = request.cookies.get(THEME_COOKIE)
        return Frame(
            look=self.look,
            actor=actor,
            sections=tuple(each for each in self.sections if self._shown(each, actor)),
            here=path_of(request),
            query=f"?{request.url.query}" if request.url.query else "",
            counts=getattr(request.state, "counts", {}),
            theme="dark" if theme == "dark" else "light" if theme == "light" else "auto",
            token=self.token(request),
        )

    def token(self, request: Request) -> str:
        """The token of the forms of this session; everybody who is not signed in shares one, for they can do nothing.

        A keyed hash, so nothing is stored and another session's token is of no use.
        """
        actor = visitor(request)
        return self.token_of((actor.session if actor else None) or "")

    def token_of(self, session: str) -> str:
        """The token of the forms of the session with this id."""
        return hmac.new(self._secret, b"form\x00" + session.encode(), hashlib.sha256).hexdigest()

    def error_page(self, request: Request, problem: Mapping[str, object], language: Language) -> str:
        """Problem details as a page that says what happened, on whose side, and what to do; for ``web.install``."""
        return render("error.html", language, frame=self.frame(request), title=problem["title"], problem=problem)

    def _shown(self, section: Section, actor: Visitor | None) -> bool:
        if section.right is None:
            return section.group != "work" or (actor is not None and actor.member is not None)
        return actor is not None and self._may(actor, section.right)


def visitor(request: Request) -> Visitor | None:
    """Who is signed in; None for nobody."""
    actor: Visitor | None = getattr(request.state, "actor", None)
    return actor if actor is not None and actor.session else None


def path_of(request: Request) -> str:
    """The address of the page without language prefix."""
    path = request.url.path
    return path.removeprefix("/en") or "/" if path == "/en" or path.startswith("/en/") else path


def prefix_of(request: Request) -> str:
    """What stands before the addresses of pages in the language of ``request``: "" or "/en"."""
    return "/en" if page_language(request) == "en" else ""


def both(path: str, page: Page, methods: Iterable[str] = ("GET",)) -> tuple[BaseRoute, ...]:
    """The routes of a page in Vietnamese and, under ``/en``, in English."""
    listed = list(methods)
    return tuple(Route(prefix + path, page, methods=listed) for prefix in ("", "/en"))
