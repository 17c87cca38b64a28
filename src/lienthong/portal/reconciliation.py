"""The page on whether both sides of a use tell the same, under ``/`` and ``/en/``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from lienthong.i18n import T, translate
from lienthong.portal.models import Name
from lienthong.portal.shell import Pages, Shell, both
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


TITLE: Final = T("Do both sides tell the same?")
FINDINGS: Final = MappingProxyType(
    {
        "matched": T("Both halves agree"),
        "waiting": T("Waiting for the other side"),
        "missing": T("The other side has no half"),
        "differs": T("The halves differ"),
    }
)


def reconciliation_pages(read: Callable[[], Awaitable[ReconciliationPage]]) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        async def page(request: Request) -> Response:
            title = translate(TITLE, page_language(request))
            return shell.page(request, "reconciliation.html", title=title, page=await read(), findings=FINDINGS)

        return Pages(both("/reconciliation", page))

    return join
