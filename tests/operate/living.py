"""A node with a folder, keys and a database of its own, whose log grows when asked: what backups are made of."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from psycopg import AsyncConnection

from lienthong.access import queries
from lienthong.access.log import LogFiles
from lienthong.access.models import Record
from lienthong.access.receipt import ReceiptMaker
from lienthong.access.sequence import Sequencer
from lienthong.access.write import COLUMNS, RecordWriter
from lienthong.config import Settings
from lienthong.node.prepare import LOG_KEY, log_origin
from lienthong.node.supervise import write_dsns
from lienthong.storage.copy import GroupCommit
from lienthong.storage.keyring import Keyring
from lienthong.storage.provision import DatabaseDsns, prepare_database
from lienthong.trust.seal import Seal

PERSON = "031099990001"
NAME = "Nguyễn Thị Thử"
NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
_numbers = itertools.count(1)


def a_record(n: int) -> Record:
    return Record(
        side="provider", exchange_id=f"exchange-{n}", at=NOW, node="nut-thu", consumer="VN/GOV/H24/motcua",
        provider="VN/GOV/G01", resource="VN/GOV/G01/dancu/citizen", way="call", purpose="HP-01", ground="law:test",
        agreement=None, decision_digest=None, outcome="permitted", rows=1, bytes=10,
    )  # fmt: skip


@dataclass
class Living:
    """A node that is not served: what its processes would do is done by the test."""

    settings: Settings
    config: Path
    dsns: DatabaseDsns

    @property
    def keyring(self) -> Keyring:
        return Keyring(self.settings.data)

    @property
    def files(self) -> LogFiles:
        key = self.keyring.ed25519(LOG_KEY).public_key()
        return LogFiles(self.settings.data / "log", log_origin(self.settings), key)

    @property
    def receipts(self) -> ReceiptMaker:
        return ReceiptMaker(self.settings.node, self.files, Seal(self.keyring.secret("record-seal")), synthetic=False)

    async def record(self, count: int) -> list[bytes]:
        """Write so many records; their hashes."""
        commit = GroupCommit(self.dsns.log, "record", COLUMNS)
        writer = RecordWriter(commit, Seal(self.keyring.secret("record-seal")))
        hashes = await asyncio.gather(*(writer.append(a_record(next(_numbers))) for _ in range(count)))
        await commit.close()
        return list(hashes)

    async def sequence(self, now: datetime | None = None) -> int:
        """Give waiting records their places, by the clock or as at ``now``; how many there were."""
        async with await AsyncConnection.connect(self.dsns.app) as db:
            assert await queries.take_sequencer_lock(db)
            await db.commit()
            sequencer = Sequencer(self.files, self.keyring.ed25519(LOG_KEY))
            return await (replace(sequencer, clock=lambda: now) if now else sequencer).step(db)

    @property
    def checkpoint(self) -> bytes:
        return (self.settings.data / "log" / "checkpoint").read_bytes()


def a_node(folder: Path, superuser: str, database: str) -> Living:
    """A node in ``folder`` with the database called so."""
    settings = Settings(
        node="nut-thu", data=folder / "data", members=("VN/GOV/G01",), database=superuser, database_name=database
    )
    dsns = prepare_database(superuser, database)
    write_dsns(settings, dsns)
    config = folder / "lienthong.toml"
    config.write_text(f'node = "nut-thu"\ndata = "{settings.data}"\nmembers = ["VN/GOV/G01"]\n')
    living = Living(settings, config, dsns)
    living.keyring.ed25519(LOG_KEY)
    living.keyring.es256("VN/GOV/G01")
    return living
