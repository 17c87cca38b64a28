"""What is wrong with the node, on whose side, and what to do next: the doctor's last look, and a button to look again.

Promises: what was found is shown with the time of the look; nothing is changed by looking; causes and mends are the
doctor's own, in the reader's language.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from lienthong.errors import Problem
from lienthong.i18n import Language, T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import require
from lienthong.portal.deeds import Deed, Facts
from lienthong.portal.forms import Form, read_form
from lienthong.portal.noderooms import CONNECTORS, FINDINGS, KEYS, rooms_for
from lienthong.portal.shell import Pages, Shell, both, prefix_of
from lienthong.web import answer_language, page_language

PATH: Final = FINDINGS.path
TITLE: Final = FINDINGS.title
OLD: Final = timedelta(hours=1)
"""A look that is older says little of now."""
SIDES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "node": T("this node"),
        "systems": T("the agency's own systems behind this node"),
        "national": T("the national node"),
        "others": T("another member"),
    }
)
ROOMS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "agreement": ("/work/agreements", T("Agreements")),
        "certificate": (KEYS.path, KEYS.title),
        "key": (KEYS.path, KEYS.title),
        "backend": (CONNECTORS.path, CONNECTORS.title),
        "column": (CONNECTORS.path, CONNECTORS.title),
        "file": (CONNECTORS.path, CONNECTORS.title),
        "source": (CONNECTORS.path, CONNECTORS.title),
        "table": (CONNECTORS.path, CONNECTORS.title),
        "service": ("/work/requests", T("Requests for access")),
    }
)
"""First word of a fault's name -> the room in which one does something about it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; ``cause`` and ``mend`` are messages with ``facts``, without persons in them."""

    name: str
    """A word that does not change."""
    cause: str
    mend: str
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    grave: bool = True
    """False: nothing fails yet."""
    whose: str = "node"
    """A key of ``SIDES``."""

    @property
    def room(self) -> tuple[str, str] | None:
        """Address and title of the page where something can be done about it."""
        return ROOMS.get(self.name.partition("-")[0])


@dataclass(frozen=True, slots=True)
class Looked:
    """One look of the doctor."""

    at: datetime
    findings: tuple[Finding, ...]
    """In the order in which they should be mended, those that make something fail first."""

    def old(self, now: datetime) -> bool:
        """Whether it says little of ``now``."""
        return now - self.at > OLD


class FindingDesk(Protocol):
    """What the node does for this page."""

    async def last(self) -> Looked | None:
        """The last look; None: nobody looked yet."""
        ...

    async def look(self) -> Looked:
        """Look now.  Raises DoctorSilent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAgain:
    """Nothing has to be told."""


def finding_deeds(desk: FindingDesk, problems: tuple[type[Problem], ...]) -> tuple[Deed[Any], ...]:
    """Look again."""

    async def look(actor: Actor, wish: LookAgain) -> Facts:
        del wish
        require(actor, Right.SEE_HEALTH, actor.member)
        looked = await desk.look()
        grave = sum(each.grave for each in looked.findings)
        return {"at": looked.at.isoformat(), "findings": len(looked.findings), "grave": grave}

    return (
        Deed("findings/look", T("Look again for what is wrong with the node"), LookAgain, look, Right.SEE_HEALTH,
             problems=problems, forms=(PATH,),
             gives={"at": "When it was looked.", "findings": "How much is wrong.", "grave": "How much of it fails."}),
    )  # fmt: skip


def finding_reads(desk: FindingDesk) -> list[BaseRoute]:
    """``GET /v1/own/findings``."""

    async def told(request: Request) -> Response:
        require(actor_of(request), Right.SEE_HEALTH)
        looked, language = await desk.last(), answer_language(request)
        found = [_told(each, language) for each in looked.findings] if looked else []
        answer = {"at": looked.at.isoformat() if looked else None, "findings": found}
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    return [Route("/v1/own/findings", told, methods=["GET"])]


def finding_pages(desk: FindingDesk) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        async def page(request: Request) -> Response:
            actor = require(actor_of(request), Right.SEE_HEALTH)
            form, status = Form(), 200
            if request.method == "POST":
                form = await read_form(request, shell)
                if form.good and await _looked(form, desk):
                    return RedirectResponse(f"{prefix_of(request)}{PATH}?looked=1", 303)
                status = 422
            return shell.page(
                request, "findings.html", title=translate(TITLE, page_language(request)), status=status, form=form,
                looked=await desk.last(), sides=SIDES, now=datetime.now(UTC), again="looked" in request.query_params,
                rooms=rooms_for(actor),
            )  # fmt: skip

        return Pages(both(PATH, page, ("GET", "POST")), (FINDINGS,))

    return join


async def _looked(form: Form, desk: FindingDesk) -> bool:
    try:
        await desk.look()
    except Problem as silent:
        form.fault("", silent.message, **silent.facts)
        return False
    return True


def _told(each: Finding, language: Language) -> dict[str, object]:
    return {
        "finding": each.name,
        "grave": each.grave,
        "whose": each.whose,
        "cause": translate(each.cause, language, **each.facts),
        "mend": translate(each.mend, language, **each.facts),
        "facts": dict(each.facts),
    }
