"""The keys and certificates of the officer's node: how old, what the directory says of them, when the next are due.

Promises: public things only, never a key's file, its password or a token's PIN; nothing is changed here but by a
request that two different coordinators of the national node approve (``portal.asking``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from lienthong.i18n import T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Right
from lienthong.identity.rights import may, require
from lienthong.portal.asking import PATH as ASK_PATH
from lienthong.portal.noderooms import KEYS, rooms_for
from lienthong.portal.shell import Pages, Shell, both
from lienthong.web import page_language

PATH: Final = KEYS.path
TITLE: Final = KEYS.title
AHEAD: Final = timedelta(days=30)
"""So long before its end the next one is to be asked for."""
KeyKind = Literal["signing", "certificate", "log", "witness"]
KeyState = Literal["used", "counts", "coming", "next", "ended", "revoked", "unlisted", "missing", "elsewhere"]
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "signing": T("Signing key of the agency"),
        "certificate": T("TLS certificate of the node"),
        "log": T("Key of the log"),
        "witness": T("Key of the witness"),
    }
)
STATES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "used": ("good", T("in use")),
        "counts": ("still", T("counts, not in use")),
        "coming": ("warn", T("listed, begins soon")),
        "next": ("warn", T("made, not listed yet")),
        "ended": ("still", T("over")),
        "revoked": ("bad", T("revoked")),
        "unlisted": ("bad", T("not in the directory")),
        "missing": ("bad", T("listed, but not here")),
        "elsewhere": ("still", T("held by another node")),
    }
)
"""State -> how it is shown, and its word."""


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key or certificate, by what is public of it."""

    kind: KeyKind
    id: str
    """Key id (RFC 7638) of a signing key, SHA-256 of a certificate, C2SP verifier key of log and witness."""
    state: KeyState
    made: datetime | None = None
    """None: it lies in a token, or on another node."""
    since: datetime | None = None
    """From when on the directory lets it count; of a certificate: from when on it says of itself that it counts."""
    ends: datetime | None = None
    """None: it has no end."""
    listed: bool = True
    in_token: bool = False
    """Whether it lies in a PKCS#11 token rather than in a file."""
    node: str = ""
    """The node that holds it, when it is another one."""

    @property
    def next_by(self) -> datetime | None:
        """By when the next one should have been asked for; None when nothing has to be done."""
        return self.ends - AHEAD if self.ends is not None and self.state == "used" else None

    def age_days(self, now: datetime) -> int | None:
        """Whole days since it was made."""
        return max(0, (now - self.made).days) if self.made else None

    def due(self, now: datetime) -> bool:
        """Whether the next one should be asked for now."""
        return self.next_by is not None and now >= self.next_by


@dataclass(frozen=True, slots=True)
class KeysPage:
    """What the page shows."""

    at: datetime
    node: str
    keys: tuple[KeyLine, ...]
    version: int | None
    """Of the directory that was looked into; None: this node has none yet."""

    def successor_of(self, kind: str) -> KeyLine | None:
        """The next key of a kind that is made or listed and not in use yet."""
        return next((each for each in self.keys if each.kind == kind and each.state in ("next", "coming")), None)


ReadKeys = Callable[[str], Awaitable[KeysPage]]
"""The keys of the node for a member of its own."""


def key_pages(read: ReadKeys) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        async def page(request: Request) -> Response:
            actor = require(actor_of(request), Right.SEE_HEALTH)
            return shell.page(
                request, "keys.html", title=translate(TITLE, page_language(request)), kinds=KINDS, states=STATES,
                page=await read(str(actor.member)), asks=may(actor, Right.MANAGE_NODE), ask_path=ASK_PATH,
                rooms=rooms_for(actor),
            )  # fmt: skip

        return Pages(both(PATH, page))

    return join


def key_reads(read: ReadKeys) -> list[BaseRoute]:
    """``GET /v1/own/keys``."""

    async def told(request: Request) -> Response:
        actor = require(actor_of(request), Right.SEE_HEALTH)
        page = await read(str(actor.member))
        answer = {
            "at": page.at.isoformat(),
            "node": page.node,
            "directory": page.version,
            "keys": [_told(each) for each in page.keys],
        }
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    return [Route("/v1/own/keys", told, methods=["GET"])]


def _told(each: KeyLine) -> dict[str, object]:
    return {
        "kind": each.kind, "id": each.id, "state": each.state, "listed": each.listed, "in_token": each.in_token,
        "made": _moment(each.made), "since": _moment(each.since), "ends": _moment(each.ends),
        "next_by": _moment(each.next_by), "node": each.node or None,
    }  # fmt: skip


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
