"""Receipts: a record with its message signatures and, once a checkpoint covers it, its place in the log.

A receipt is what anybody concerned checks without trusting this node; it holds digests and signatures, never data.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, cast

import orjson

from lienthong.access import queries
from lienthong.access.gaps import flags
from lienthong.access.log import LogFiles
from lienthong.access.shards import Shard
from lienthong.access.witness.policy import Policy, no_policy
from lienthong.access.witness.queries import best_checkpoint
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.storage.pool import Connection
from lienthong.trust.cosign import cosignature_times, cosigned
from lienthong.trust.seal import Seal

RECEIPT_FORMAT = 1


class NoSuchRecord(Problem):
    """No record of this log has the hash asked for."""

    kind: ClassVar[str] = "no-such-record"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("There is no such record")


@dataclass(frozen=True, slots=True)
class ReceiptMaker:
    """Puts receipts together for one node's log."""

    node: str
    log: LogFiles
    seal: Seal
    synthetic: bool
    policy: Callable[[], Policy] = field(default=no_policy)
    """Which witnesses readers of this log ask for."""

    async def receipt(self, db: Connection, hash_hex: str, *, to_owner: bool = False) -> dict[str, object]:
        """The receipt of the record with this hash; ``proof`` is None until a checkpoint covers the record.

        The signed messages are shown to the public only when the record was written with ``public`` beside it: their
        bases hold unsalted digests, from which a body that names one person can be guessed, and the caller's address.
        ``to_owner`` gets them always.  Raises NoSuchRecord.
        """
        stored = await queries.stored_record(db, _hash_bytes(hash_hex))
        if stored is None:
            raise _missing(hash_hex)
        detail = self._detail(stored)
        shown = to_owner or detail.get("public") is True
        policy = self.policy()
        shard = await _shard_of(db, stored)
        note = await self._covering(db, stored, shard, policy)
        log, at = self.log.shard(shard.name), datetime.fromisoformat(orjson.loads(stored.leaf)["at"])
        return {
            "format": RECEIPT_FORMAT,
            "node": self.node,
            "synthetic": self.synthetic,
            "record": stored.leaf.decode(),
            "record_hash": stored.hash.hex(),
            "messages": _shown_messages(detail.get("messages")) if shown else None,
            "withheld": None if shown or "messages" not in detail else "messages",
            "log": {"origin": log.origin, "key": log.verifier_key},
            "witnesses": policy.stated() | {"cosigned": _cosigners(note, policy)},
            "flags": flags(await queries.gaps_between(db, at, at), at),
            "proof": self._proof(stored, shard, note),
        }

    async def proof(self, db: Connection, stored: queries.Stored) -> str | None:
        """The ``tlog-proof`` text of a record, or None while no checkpoint covers it."""
        shard = await _shard_of(db, stored)
        return self._proof(stored, shard, await self._covering(db, stored, shard, self.policy()))

    async def _covering(self, db: Connection, stored: queries.Stored, shard: Shard, policy: Policy) -> bytes | None:
        """The newest checkpoint over the record that enough witnesses cosigned, else the newest; None before any."""
        if stored.idx is None:
            return None
        best = await best_checkpoint(db, policy.names, policy.threshold, above=stored.idx, upto=shard.last)
        return cosigned(bytes(best.note), best.lines) if best else None

    def _proof(self, stored: queries.Stored, shard: Shard, note: bytes | None) -> str | None:
        """The ``tlog-proof`` text against the checkpoint ``note``, or None while none covers the record."""
        if stored.idx is None or note is None:
            return None
        return self.log.shard(shard.name).proof(stored.idx - shard.begin, self.log.opened(note).size, note)

    def _detail(self, stored: queries.Stored) -> dict[str, object]:
        if stored.detail is None:
            return {}
        return cast("dict[str, object]", orjson.loads(self.seal.decrypt(bytes(stored.detail), bytes(stored.hash))))


async def _shard_of(db: Connection, stored: queries.Stored) -> Shard:
    """The shard in which the record lies; the open one for a record without a place."""
    shards = await queries.shards(db)
    return next((shard for shard in reversed(shards) if stored.idx is None or shard.begin <= stored.idx), shards[0])


def message_evidence(base: bytes, signature: bytes, keyid: str, jwk: dict[str, str]) -> dict[str, object]:
    """One signed message as it lies in a record's detail; its base is ASCII by RFC 9421 and is kept as text."""
    return {
        "base": base.decode("ascii"),
        "signature": base64.b64encode(signature).decode(),
        "keyid": keyid,
        "jwk": jwk,
    }


def _cosigners(note: bytes | None, policy: Policy) -> list[str]:
    return sorted(cosignature_times(note, [site.key for site in policy.witnesses])) if note else []


def _shown_messages(kept: object) -> dict[str, object] | None:
    """The messages of a detail as a receipt shows them: bases in base64, absent ones as None."""
    if not isinstance(kept, dict):
        return None
    messages = cast("dict[str, dict[str, str]]", kept)
    return {
        name: message | {"base": base64.b64encode(message["base"].encode("ascii")).decode("ascii")}
        for name, message in messages.items()
    }


def _hash_bytes(hash_hex: str) -> bytes:
    try:
        named = bytes.fromhex(hash_hex)
    except ValueError:
        raise _missing(hash_hex) from None
    if len(named) != 32:
        raise _missing(hash_hex)
    return named


def _missing(hash_hex: str) -> NoSuchRecord:
    return NoSuchRecord(
        T("No record of this log has the hash {hash}."),
        mend=T("Ask the node that wrote it; the header Lienthong-Record and the record itself name it."),
        hash=hash_hex[:64],
    )
