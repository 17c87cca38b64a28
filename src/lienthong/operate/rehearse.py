"""``lienthong drill restore``: back a living node up, restore it into an empty server, check it, sign what came of it.

The node goes on serving; the restored one never opens a listener.  The checkpoint it is compared with is taken from
outside before the backup begins, so a backup that lacks a record which somebody was shown fails the drill.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from lienthong import __version__
from lienthong.access.shards import next_shard, shard_name
from lienthong.config import Settings
from lienthong.errors import Problem
from lienthong.node.prepare import LOG_KEY, log_origin
from lienthong.operate.backup import back_up
from lienthong.operate.restore import expect_to_lead_to, restore
from lienthong.operate.sealed import KEY_BYTES
from lienthong.storage.keyring import Keyring, open_keyring
from lienthong.storage.server import PostgresServer
from lienthong.trust.documents import sign_document
from lienthong.trust.keys import key_id, public_jwk
from lienthong.trust.note import VerifierKey, parse_checkpoint, split_note

CheckLog = Callable[[str, str], bool]
"""The separate verifier over a log's folder and its verifier key, given by the command: nothing here knows it."""
MOST_SHARDS = 60
"""Thirty years of half-years."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a restore drill showed."""

    node: str
    at: str
    program: str
    checkpoint: str
    """The outside checkpoint, as its signed note."""
    checkpoint_size: int
    restored_size: int
    rows: int
    files: int
    backup_s: float
    restore_s: float
    log_verified: bool
    """By the separate verifier: every entry, tile, root and signature."""
    confirmed: bool
    """Whether the restored log leads to the outside checkpoint."""
    problem: str
    """Kind of what went wrong; empty when nothing did."""

    @property
    def passed(self) -> bool:
        """Whether the node could be restored from its backup today."""
        return self.log_verified and self.confirmed and not self.problem


def rehearse(settings: Settings, config: Path, outside: bytes, check_log: CheckLog, *, now: datetime) -> Rehearsal:
    """Run the drill in a folder of its own, which is removed; what it showed, also when it failed."""
    shown = parse_checkpoint(split_note(outside)[0])
    key, begin, problem = secrets.token_bytes(KEY_BYTES), time.monotonic(), ""
    restored_size = rows = files = 0
    backup_s = restore_s = 0.0
    verified = confirmed = False
    with tempfile.TemporaryDirectory(prefix="lienthong-drill-") as folder:
        archive = Path(folder) / "backup"
        again = replace(settings, data=Path(folder) / "data", database=None)
        try:
            manifest = back_up(settings, config, archive, key, now=now)
            backup_s = time.monotonic() - begin
            rows, files = sum(table.rows for table in manifest.tables), len(manifest.files)
            restored_size = restore(again, archive, key, now=now).manifest.log_size
            restore_s = time.monotonic() - begin - backup_s
            log_key = VerifierKey(log_origin(settings), Keyring(again.data).ed25519(LOG_KEY).public_key())
            verified = check_log(str(again.data / "log"), str(log_key))
            expect_to_lead_to(again, outside, restored_size)
            confirmed = True
        except Problem as failed:
            problem = failed.kind
        finally:
            if (again.data / "postgres").exists():
                PostgresServer(again.data / "postgres").destroy()
    return Rehearsal(
        node=settings.node,
        at=now.isoformat(),
        program=__version__,
        checkpoint=outside.decode("utf-8", "replace"),
        checkpoint_size=shown.size,
        restored_size=restored_size,
        rows=rows,
        files=files,
        backup_s=round(backup_s, 1),
        restore_s=round(restore_s, 1),
        log_verified=verified,
        confirmed=confirmed,
        problem=problem,
    )


def last_published(read: Callable[[str], bytes | None]) -> bytes | None:
    """The checkpoint of the newest shard that a log shows; None when it shows none.

    ``read`` gives what lies under a path of the log, None when nothing does.  Only the way is followed here: whether
    the log signed what it shows is the drill's question.  Raises NoteRefused.
    """
    newest = read("checkpoint")
    origin = parse_checkpoint(split_note(newest)[0]).origin if newest is not None else ""
    for _ in range(MOST_SHARDS):
        following = next_shard(parse_checkpoint(split_note(newest)[0])) if newest is not None else None
        name = shard_name(origin, following) if following else None
        told = read(f"{name}/checkpoint") if name else None
        if told is None:
            break
        newest = told
    return newest


def signed(rehearsal: Rehearsal, settings: Settings) -> bytes:
    """The result in an envelope signed by the first member's key of this node."""
    key = open_keyring(settings).es256(settings.members[0])
    payload = json.dumps(asdict(rehearsal) | {"passed": rehearsal.passed}, ensure_ascii=False).encode()
    return sign_document(payload, key, key_id(public_jwk(key)))
