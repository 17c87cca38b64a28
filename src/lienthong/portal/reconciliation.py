"""The page on whether both sides of a use tell the same, under ``/`` and ``/en/``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from lienthong.i18n import T
from lienthong.portal.models import Name
from lienthong.portal.render import render
from lienthong.web import page_language


@dataclass(frozen=True, slots=True)
class PairLine:
    """The uses of one day between two members."""

    day: date
    own: Name
    """Whose records were compared."""
    peer: Name
    """Whose halves were asked for."""
    expected: int
    matched: int
    waiting: int
    missing: int
    differs: int

    @property
    def percent(self) -> str:
        """Share of matched pairs; only all of them is 100."""
        if self.matched == self.expected:
            return "100"
        return f"{min(99.9, 100 * self.matched / self.expected):.1f}"


@dataclass(frozen=True, slots=True)
class ReconciliationPage:
    """What the page shows."""

    at: datetime
    node: Name
    synthetic: bool
    days: tuple[PairLine, ...]
    """As this node compared its own records with the other sides', newest first."""
    observed: tuple[PairLine, ...] | None
    """On the national node: as both sides told it; None elsewhere."""


FINDINGS: Final = MappingProxyType(
    {
        "matched": T("Both halves agree"),
        "waiting": T("Waiting for the other side"),
        "missing": T("The other side has no half"),
        "differs": T("The halves differ"),
    }
)


def reconciliation_pages(read: Callable[[], Awaitable[ReconciliationPage]]) -> list[BaseRoute]:
    """The page's routes."""

    async def page(request: Request) -> Response:
        body = render(
            "reconciliation.html",
            page_language(request),
            path=request.url.path.removeprefix("/en"),
            page=await read(),
            findings=FINDINGS,
        )
        return HTMLResponse(body, headers={"Cache-Control": "no-store"})

    return [Route(prefix + "/reconciliation", page, methods=["GET"]) for prefix in ("", "/en")]
