"""The nodes and how each answered when it was last asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from starlette.requests import Request

from lienthong.i18n import T
from lienthong.law.text import sort_key
from lienthong.portal.listing import Listing, listing
from lienthong.portal.models import Health, Name
from lienthong.portal.sheet import Mark, Row, Sheet, columns_of, sorted_rows
from lienthong.portal.shell import Pages, Section, Shell

TITLE: Final = T("Nodes")
HEALTHS: Final[Mapping[Health, Mark]] = MappingProxyType(
    {
        "serving": Mark("good", T("Serving"), "serving"),
        "starting": Mark("warn", T("Starting"), "starting"),
        "silent": Mark("bad", T("No answer"), "silent"),
    }
)
WITNESS: Final = Mark("good", T("witness"), "witness")
NO_WITNESS: Final = Mark("still", T("no witness"), "none")


@dataclass(frozen=True, slots=True)
class NodeLine:
    """A node as the directory lists it and as it answered."""

    id: str
    operator: Name
    members: int
    health: Health | None
    """None: this node does not ask the others."""
    log_size: int | None
    platform: str
    runs_on: str
    security_level: int
    witness: bool
    public_url: str


def node_pages(read: Callable[[], Awaitable[tuple[datetime, tuple[NodeLine, ...]]]]) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    async def sheet(request: Request) -> Sheet:
        del request
        at, nodes = await read()
        rows = [
            Row(
                (
                    node.id,
                    node.operator,
                    HEALTHS[node.health] if node.health else None,
                    node.members,
                    node.log_size,
                    WITNESS if node.witness else NO_WITNESS,
                    node.security_level,
                    node.platform or None,
                    node.runs_on or None,
                ),
                node.public_url,
            )
            for node in nodes
        ]
        return Sheet("nut-ket-noi", TITLE, COLUMNS, sorted_rows(rows, [sort_key(node.id) for node in nodes]), at)

    def join(shell: Shell) -> Pages:
        lead = T(
            "The programs that members run. Each keeps its own data and its own log; how each answered last is here."
        )
        return Pages(listing(shell, Listing("/nodes", TITLE, lead, sheet)), (Section("/nodes", TITLE),))

    return join


COLUMNS: Final = columns_of(
    ("node", T("Node"), "code"),
    ("operator", T("Operator")),
    ("health", T("Health")),
    ("members", T("Members"), "figure"),
    ("records", T("Records"), "figure"),
    ("witness", T("Watches other logs")),
    ("security_level", T("Security level"), "figure"),
    ("platform", T("Platform")),
    ("runs_on", T("Runs on")),
)
