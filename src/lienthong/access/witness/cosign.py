"""The witness of a node: cosigns the heads of other logs, each only when it continues the one cosigned before.

Source: c2sp.org/tlog-witness, ``add-checkpoint``.  The state is committed before the cosignature leaves; requests for
one log wait for each other at its row, those for different logs do not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lienthong.access.shards import next_shard
from lienthong.access.witness import queries
from lienthong.access.witness.forks import same_size_fork
from lienthong.storage.pool import Connection, Pool, reading
from lienthong.trust.cosign import CosignerKey, Submission, cosign, cosigned, parse_submission
from lienthong.trust.merkle import EMPTY_ROOT, WrongProof, verify_consistency
from lienthong.trust.note import Checkpoint, NoteRefused, VerifierKey, open_checkpoint, parse_checkpoint, split_note

PLAIN = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"

LogKeys = Callable[[str], VerifierKey | None]
"""From a log's origin to the key it signs with, as the directory says; None for a log nobody listed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the witness answers over HTTP."""

    status: int
    body: str
    media_type: str = PLAIN


class _Refused(Exception):
    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Witness:
    """One node's witness; ``name`` and ``key`` are what the directory publishes as its ``witness_key``."""

    pool: Pool
    key: Ed25519PrivateKey
    name: str
    log_keys: LogKeys
    clock: Callable[[], float] = field(default=time.time)

    @property
    def verifier_key(self) -> str:
        """The witness's published key."""
        return str(CosignerKey(self.name, self.key.public_key()))

    async def add_checkpoint(self, body: bytes) -> Reply:
        """Cosign the checkpoint in ``body``, or say why not.  Raises DatabaseUnavailable."""
        try:
            submission = _read(body)
            checkpoint, key = self._opened(submission)
            async with reading(self.pool) as db:
                return await self._advance(db, submission, checkpoint, key)
        except _Refused as refused:
            return refused.reply

    def _opened(self, submission: Submission) -> tuple[Checkpoint, VerifierKey]:
        claimed = _claimed(submission)
        key = self.log_keys(claimed.origin)
        if key is None:
            raise _Refused(Reply(404, "unknown log\n"))
        try:
            checkpoint = open_checkpoint(submission.checkpoint, claimed.origin, key.public_key, key.name)
        except NoteRefused:
            raise _Refused(Reply(403, "no signature by a key of this log\n")) from None
        if submission.old_size > checkpoint.size:
            raise _Refused(Reply(400, "the old size is larger than the checkpoint\n"))
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise _Refused(Reply(422, "an empty tree has another root\n"))
        return checkpoint, key

    async def _advance(self, db: Connection, asked: Submission, checkpoint: Checkpoint, key: VerifierKey) -> Reply:
        size, root = await queries.lock_head(db, checkpoint.origin)
        if size == checkpoint.size and root != checkpoint.root:
            await self._keep_fork(db, asked, checkpoint, key)
            return Reply(409, f"{size}\n", SIZE)
        if size != asked.old_size:
            await db.rollback()
            return Reply(409, f"{size}\n", SIZE)
        if size and not _continues(size, root, asked, checkpoint):
            await db.rollback()
            return Reply(422, "the proof does not lead from the head known here to this one\n")
        if size and not next_shard(checkpoint) and await self._is_frozen(db, checkpoint.origin):
            await db.rollback()
            return Reply(422, "the shard was frozen by the checkpoint known here\n")
        line = cosign(checkpoint.text(), self.key, self.name, int(self.clock()))
        note = cosigned(_with_signature_of(key, asked.checkpoint), [line])
        await queries.keep_head(db, checkpoint.origin, checkpoint.size, checkpoint.root, note)
        await db.commit()
        return Reply(200, line)

    async def _is_frozen(self, db: Connection, origin: str) -> bool:
        seen = await queries.seen_head(db, origin)
        return seen is not None and next_shard(parse_checkpoint(split_note(bytes(seen.note))[0])) is not None

    async def _keep_fork(self, db: Connection, asked: Submission, checkpoint: Checkpoint, key: VerifierKey) -> None:
        seen = await queries.seen_head(db, checkpoint.origin)
        if seen is not None:
            note = _with_signature_of(key, asked.checkpoint)
            await queries.keep_evidence(db, same_size_fork(key, bytes(seen.note), note))
        await db.commit()


def _read(body: bytes) -> Submission:
    try:
        return parse_submission(body)
    except NoteRefused as refused:
        raise _Refused(Reply(400, f"{refused}\n")) from None


def _claimed(submission: Submission) -> Checkpoint:
    """The checkpoint as it stands there, unsigned: only its origin is of use."""
    try:
        return parse_checkpoint(split_note(submission.checkpoint)[0])
    except NoteRefused as refused:
        raise _Refused(Reply(400, f"{refused}\n")) from None


def _continues(size: int, root: bytes, asked: Submission, checkpoint: Checkpoint) -> bool:
    try:
        verify_consistency(size, checkpoint.size, asked.proof, root, checkpoint.root)
    except WrongProof:
        return False
    return True


def _with_signature_of(key: VerifierKey, note: bytes) -> bytes:
    """``note`` with the log's own signatures only: what strangers added is neither kept nor shown."""
    text, lines = split_note(note)
    own = [line for line in lines if line.startswith(f"— {key.name} ")]
    return (text + "\n" + "".join(f"{line}\n" for line in own)).encode()
