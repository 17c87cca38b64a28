"""The directory this node acts on, and the changes to it that are coming for its own members.

Promise: nobody's name, key or place changes in the directory without the member having seen it coming.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any, Final

from starlette.requests import Request

from lienthong.i18n import T
from lienthong.portal.listing import Listing, listing
from lienthong.portal.sheet import Cell, Mark, Row, Sheet, columns_of
from lienthong.portal.shell import Pages, Section, Shell

TITLE: Final = T("Directory")
KINDS: Final[Mapping[str, Mark]] = MappingProxyType(
    {
        "join": Mark("still", T("a node joins"), "join"),
        "key": Mark("still", T("a key changes"), "key"),
        "certificate": Mark("still", T("a certificate changes"), "certificate"),
        "close": Mark("still", T("the member is closed"), "close"),
    }
)
STATES: Final[Mapping[str, Mark]] = MappingProxyType(
    {
        "requested": Mark("warn", T("waits for two operators"), "requested"),
        "approved-once": Mark("warn", T("waits for the second operator"), "approved-once"),
        "active": Mark("good", T("counts"), "active"),
        "refused": Mark("bad", T("refused"), "refused"),
    }
)
COLUMNS: Final = columns_of(
    ("member", T("Member")),
    ("kind", T("What changes")),
    ("about", T("Node or successor"), "code"),
    ("day", T("Acts on")),
    ("state", T("State")),
    ("approvals", T("Approvals"), "figure"),
    ("changed_at", T("Since")),
    ("reason", T("Reason")),
    ("id", T("Id"), "code"),
)


@dataclass(frozen=True, slots=True)
class DirectoryView:
    """The version this node acts on and what waits for its members, as the national node last told it."""

    version: int
    digest: str
    issued: datetime
    expires: datetime
    shown: int
    """Versions of the last hours that neighbours compare with theirs."""
    coming: Sequence[Mapping[str, Any]]  # Any: each as ``directory.lifecycle.Change.public`` says


def directory_pages(read: Callable[[], DirectoryView], *, history: bool = False) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal; ``read`` raises NoDirectory before the first version.

    ``history``: whether this node also has the page of all changes (the national node).
    """

    async def sheet(request: Request) -> Sheet:
        del request
        return Sheet("danh-ba", TITLE, COLUMNS, tuple(_row(each) for each in read().coming), datetime.now(UTC))

    async def facts(request: Request) -> Mapping[str, object]:
        del request
        return {"directory": read(), "history": history}

    def join(shell: Shell) -> Pages:
        lead = T(
            "Who takes part, with which keys and nodes, stands in one signed directory. A change counts when two"
            " operators have approved it; here the members of this node see those that are coming in their name, or"
            " that make them somebody's successor."
        )
        empty = T("No change is coming for the members of this node.")
        page = Listing(
            "/directory", TITLE, lead, sheet, template="directory.html", facts=facts, empty=empty, json="/v1/directory"
        )
        return Pages(listing(shell, page), (Section("/directory", TITLE, group="more"),))

    return join


def _row(change: Mapping[str, Any]) -> Row:
    kind, state = str(change["kind"]), str(change["state"])
    cells: tuple[Cell, ...] = (
        str(change["member"]),
        KINDS.get(kind, Mark("still", kind, kind)),
        str(change.get("node") or change.get("successor") or "") or None,
        _day(change.get("day")),
        STATES.get(state, Mark("still", state, state)),
        int(change["approvals"]),
        datetime.fromisoformat(str(change["changed_at"])),
        str(change.get("reason", "")) or None,
        str(change["id"]),
    )
    return Row(cells)


def _day(told: object) -> date | None:
    try:
        return date.fromisoformat(str(told)) if told else None
    except ValueError:
        return None
