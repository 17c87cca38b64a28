"""A member's signed requests for a change of the directory, as its node makes them for the page and the command."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from lienthong.config import Settings
from lienthong.directory.document import Snapshot
from lienthong.directory.lifecycle import ChangeKind, ChangeRefused, request_change
from lienthong.directory.models import read_member_id
from lienthong.i18n import T
from lienthong.identity.audit import put_down
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import require
from lienthong.node.certificates import next_certificate
from lienthong.node.local import Local
from lienthong.node.prepare import current_key, next_key
from lienthong.portal.asking import Wish
from lienthong.storage.keyring import Keyring
from lienthong.trust.keys import public_jwk


def next_key_wanted(settings: Settings, keyring: Keyring, member: str, snapshot: Snapshot) -> dict[str, object]:
    """What a request for the member's next key wants; makes the key."""
    return {"jwk": public_jwk(next_key(keyring, member, snapshot)), "node": settings.node}


def next_certificate_wanted(settings: Settings, keyring: Keyring, snapshot: Snapshot) -> dict[str, object]:
    """What a request for the node's next certificate wants; makes the certificate."""
    return {"node": settings.node, "certificate_pem": next_certificate(settings, keyring, snapshot)}


def signed_request(
    settings: Settings,
    keyring: Keyring,
    snapshot: Snapshot | None,
    kind: ChangeKind,
    member: str,
    wanted: Mapping[str, object],
) -> bytes:
    """The request under the key that the member signs with today."""
    key = current_key(settings, keyring, member, snapshot)
    return request_change(kind, read_member_id(member), wanted, key, datetime.now(UTC))


class NodeAskDesk:
    """See ``portal.asking.AskDesk``: for the first member of this node's persons, their own."""

    def __init__(self, local: Local) -> None:
        self._local = local

    async def ask(self, actor: Actor, wish: Wish) -> bytes:
        """The signed request.  Raises NotAllowed, ChangeRefused for a member that another node acts for."""
        require(actor, Right.MANAGE_NODE, actor.member)
        member = str(actor.member)
        if member not in self._local.settings.members:
            raise ChangeRefused(T("This node does not sign for {member}."), member=member)
        if wish.kind == "close" and wish.day is None:
            raise ChangeRefused(T("A closing names its first day."))
        envelope = await asyncio.to_thread(self._made, member, wish)
        async with self._local.pool.connection() as db:
            await put_down(db, actor, "directory.asked", wish.kind, {}, now=datetime.now(UTC))
        return envelope

    def _made(self, member: str, wish: Wish) -> bytes:
        settings, keyring = self._local.settings, self._local.keyring
        snapshot = self._local.directory.snapshot()
        match wish.kind:
            case "key":
                wanted = next_key_wanted(settings, keyring, member, snapshot)
            case "certificate":
                wanted = next_certificate_wanted(settings, keyring, snapshot)
            case "close":
                day = wish.day.isoformat() if wish.day else ""
                wanted = {"day": day, "successor": wish.successor}
        return signed_request(settings, keyring, snapshot, wish.kind, member, wanted)
