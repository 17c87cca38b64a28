"""The live exchange: the newest uses of data that this node knows of, each leading to its record and its receipt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from starlette.requests import Request

from lienthong.i18n import T, translate
from lienthong.portal.listing import Listing, listing
from lienthong.portal.models import Name, UseLine
from lienthong.portal.sheet import Mark, Row, Sheet, columns_of
from lienthong.portal.shell import Pages, Section, Shell
from lienthong.portal.words import WAYS

TITLE: Final = T("Live exchange")
OUTCOMES: Final[Mapping[str, Mark]] = MappingProxyType(
    {
        "permitted": Mark("good", T("Permitted"), "permitted"),
        "refused": Mark("bad", T("Refused"), "refused"),
        "failed": Mark("warn", T("Failed"), "failed"),
    }
)
COLUMNS: Final = columns_of(
    ("at", T("Time")),
    ("way", T("Way")),
    ("what", T("What was used")),
    ("consumer", T("Consumer")),
    ("provider", T("Provider")),
    ("purpose", T("Purpose")),
    ("outcome", T("Outcome")),
    ("rows", T("Rows"), "figure"),
)


def live_pages(read: Callable[[], Awaitable[tuple[datetime, tuple[UseLine, ...]]]]) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    async def sheet(request: Request) -> Sheet:
        del request
        at, uses = await read()
        return Sheet("trao-doi", TITLE, COLUMNS, tuple(_row(use) for use in uses), at)

    def join(shell: Shell) -> Pages:
        lead = T("Who used what, for which purpose, and whether it was permitted: never whose data or what they said. "
                 "The time leads to the record.")  # fmt: skip
        empty = T("Nobody has used anything yet. The first use appears here within a second.")
        page = Listing("/live", TITLE, lead, sheet, template="live.html", empty=empty)
        return Pages(listing(shell, page), (Section("/live", TITLE),))

    return join


def _row(use: UseLine) -> Row:
    return Row(
        (
            use.at,
            Name(translate(WAYS[use.way], "vi"), WAYS[use.way]),
            use.title,
            use.consumer,
            use.provider,
            use.purpose or use.purpose_code,
            OUTCOMES[use.outcome],
            use.rows if use.outcome == "permitted" else None,
        ),
        use.records[0].page_url if use.records else "",
        more=f"{use.resource} {use.reason or ''} {use.purpose_code or ''}",
    )
