"""Whether this node serves, part by part, with the cause and the mend of what is not in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lienthong.i18n import T, translate
from lienthong.portal.shell import Pages, Section, Shell, both
from lienthong.web import answer_language, page_language

TITLE: Final = T("Status")
PARTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "database": T("Database"),
        "disk": T("Disk"),
        "directory": T("Directory"),
        "sequencer": T("Ordering of the log"),
        "certificate": T("Certificate"),
        "keys": T("Keys"),
        "recovery": T("Recovery mode"),
        "witnesses": T("Witnesses"),
        "forks": T("Proofs of forks"),
        "timestamps": T("Time stamps"),
        "jobs": T("Background jobs"),
        "peers": T("Other nodes"),
        "clock": T("Clock"),
        "sandbox": T("Sandbox"),
        "queues": T("Queues"),
        "notices": T("Notices"),
    }
)
WORDS: Final = {"ok": T("Everything works."), "degraded": T("It works; somebody has to look at something."),
                "not-ready": T("It can not serve now.")}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PartState:
    """One part of the node; ``cause`` and ``mend`` are messages with ``facts``."""

    name: str
    state: Literal["ok", "degraded", "failed"]
    word: str
    cause: str = ""
    mend: str = ""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class StatusPage:
    """What the page shows."""

    at: datetime
    status: Literal["ok", "degraded", "not-ready"]
    parts: tuple[PartState, ...]


def status_pages(read: Callable[[], Awaitable[StatusPage]]) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    async def told(request: Request) -> Response:
        shown, language = await read(), answer_language(request)
        listed = [
            {
                "part": part.name,
                "state": part.state,
                "word": part.word,
                "detail": translate(part.cause, language, **part.facts) if part.cause else "",
                "mend": translate(part.mend, language, **part.facts) if part.mend else "",
            }
            for part in shown.parts
        ]
        return JSONResponse({"at": shown.at.isoformat(), "status": shown.status, "parts": listed})

    def join(shell: Shell) -> Pages:
        async def page(request: Request) -> Response:
            title = translate(TITLE, page_language(request))
            return shell.page(request, "status.html", title=title, status_page=await read(), told=WORDS, names=PARTS)

        routes = (*both("/status", page), Route("/v1/status", told, methods=["GET"]))
        return Pages(routes, (Section("/status", TITLE, group="more"),))

    return join
