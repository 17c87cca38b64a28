"""The log and its witnesses: how long it is, who vouches that it never told two stories, what is known of others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lienthong.i18n import T, translate
from lienthong.portal.models import CheckpointView
from lienthong.portal.shell import Pages, Section, Shell, both
from lienthong.web import page_language

TITLE: Final = T("Log and witnesses")


@dataclass(frozen=True, slots=True)
class WitnessLine:
    """A witness that the directory asks for this log."""

    node: str
    cosigned: bool
    """Whether it cosigned the checkpoint shown."""


@dataclass(frozen=True, slots=True)
class HeadLine:
    """The newest checkpoint of another log that this node cosigned."""

    origin: str
    size: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Journal:
    """What the page shows."""

    at: datetime
    checkpoint: CheckpointView | None
    note: str
    """The checkpoint as signed; empty before the first."""
    threshold: int
    witnesses: tuple[WitnessLine, ...]
    heads: tuple[HeadLine, ...]
    forks: int
    """Proofs, known here, that some log told two stories."""
    stamped_size: int | None
    stamped_at: datetime | None
    recovering: bool

    @property
    def cosigned(self) -> int:
        """How many of the witnesses cosigned it."""
        return sum(each.cosigned for each in self.witnesses)


def journal_pages(read: Callable[[], Awaitable[Journal]]) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    async def told(request: Request) -> Response:
        del request
        return Response(orjson.dumps(asdict(await read())), media_type="application/json")

    def join(shell: Shell) -> Pages:
        async def page(request: Request) -> Response:
            title = translate(TITLE, page_language(request))
            return shell.page(request, "journal.html", title=title, journal=await read())

        routes = (*both("/journal", page), Route("/v1/journal", told, methods=["GET"]))
        return Pages(routes, (Section("/journal", TITLE),))

    return join
