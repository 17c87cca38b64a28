"""What a node shows its owner's systems about itself, on the client listener only."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from lienthong.directory.models import SystemId, member_of
from lienthong.exchange.answer import Headers
from lienthong.exchange.clientdoor import OwnPage
from lienthong.node.halves import halves_of_member
from lienthong.node.local import Local

JSON: Headers = [(b"content-type", b"application/json")]


def own_pages(local: Local) -> Mapping[bytes, OwnPage]:
    """By path; each shows only what concerns the member of the system that asks."""

    async def reconciliation(system: SystemId | None, _: bytes) -> tuple[int, Headers, bytes]:
        return 200, JSON, orjson.dumps(await halves_of_member(local.pool, member_of(system or "")))

    return {b"/reconciliation": reconciliation}
