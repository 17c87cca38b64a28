"""How the directory changed, version after version: who joined, which key, node, purpose or rule changed and when.

Promise: every difference between two published versions stands here in words, signed versions being all it reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from starlette.requests import Request

from lienthong.directory.versions.differences import Difference, What
from lienthong.directory.versions.history import Published
from lienthong.i18n import T
from lienthong.portal.listing import Listing, listing
from lienthong.portal.sheet import Mark, Row, Sheet, columns_of
from lienthong.portal.shell import Pages, Shell

TITLE: Final = T("Changes of the directory")
WORDS: Final[Mapping[What, Mark]] = MappingProxyType(
    {
        "member-joined": Mark("good", T("member joined"), "member-joined"),
        "member-changed": Mark("still", T("member's particulars changed"), "member-changed"),
        "member-closed": Mark("warn", T("member closed"), "member-closed"),
        "member-reopened": Mark("good", T("member opened again"), "member-reopened"),
        "member-left": Mark("bad", T("member no longer listed"), "member-left"),
        "key-added": Mark("good", T("key added"), "key-added"),
        "key-ended": Mark("warn", T("key ends earlier"), "key-ended"),
        "key-changed": Mark("warn", T("key's particulars changed"), "key-changed"),
        "key-left": Mark("warn", T("key no longer listed"), "key-left"),
        "system-added": Mark("good", T("system added"), "system-added"),
        "system-changed": Mark("still", T("system's particulars changed"), "system-changed"),
        "system-left": Mark("warn", T("system no longer listed"), "system-left"),
        "node-joined": Mark("good", T("node joined"), "node-joined"),
        "node-changed": Mark("still", T("node's particulars changed"), "node-changed"),
        "node-closed": Mark("warn", T("node closed"), "node-closed"),
        "certificate-changed": Mark("warn", T("node's certificate changed"), "certificate-changed"),
        "host-changed": Mark("warn", T("node acts for other members"), "host-changed"),
        "purpose-added": Mark("good", T("purpose added"), "purpose-added"),
        "purpose-changed": Mark("still", T("purpose changed"), "purpose-changed"),
        "purpose-left": Mark("warn", T("purpose no longer listed"), "purpose-left"),
        "rule-added": Mark("good", T("rule added"), "rule-added"),
        "rule-left": Mark("warn", T("rule taken back"), "rule-left"),
        "authority-added": Mark("warn", T("certificate authority accepted"), "authority-added"),
        "authority-left": Mark("warn", T("certificate authority no longer accepted"), "authority-left"),
        "witnesses-changed": Mark("warn", T("witness policy changed"), "witnesses-changed"),
    }
)
COLUMNS: Final = columns_of(
    ("version", T("Version"), "figure"),
    ("first_issued", T("First signed at")),
    ("issued", T("Last signed at")),
    ("what", T("What changed")),
    ("member", T("Member")),
    ("about", T("About"), "long"),
    ("before", T("Before"), "long"),
    ("after", T("After"), "long"),
)


def version_pages(read: Callable[[], Awaitable[Sequence[Published]]]) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal, reached from ``/directory``; ``read`` answers with the newest first."""

    async def sheet(request: Request) -> Sheet:
        del request
        rows = tuple(_row(each, one) for each in await read() for one in each.changed)
        return Sheet("thay-doi-danh-ba", TITLE, COLUMNS, rows, datetime.now(UTC))

    def join(shell: Shell) -> Pages:
        lead = T(
            "Every published version of the directory is compared with the one before it. Search by a member's or a"
            " node's id to see only its own history."
        )
        empty = T("Only one version has been published so far: there is nothing to compare it with.")
        page = Listing("/directory/versions", TITLE, lead, sheet, empty=empty)
        return Pages(listing(shell, page))

    return join


def _row(published: Published, one: Difference) -> Row:
    cells = (published.version, published.first_issued, published.issued, WORDS[one.what], one.member or None,
             one.about, one.before or None, one.after or None)  # fmt: skip
    return Row(cells)
