"""Records: our writer against PostgreSQL COPY group commit alone, in one run; then the log's own figures.

All three writers fill the same table (same columns, indexes, row sizes) over one connection.  "COPY alone" and "group
commit" are given rows that are ready: their ratio is what our commit costs.  "record writer" is given a record as a use
leaves it, and writes, hashes and seals it too: the difference is the price of a record, not of its commit.

Run: python bench/records.py [--seconds 3] [--leaves 1000000] [--proof-leaves 10000000]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import orjson
import uvloop

from lienthong.access.models import AgreementRef, Record, record_hash, write_record
from lienthong.access.write import COLUMNS, RecordWriter
from lienthong.storage.copy import GroupCommit
from lienthong.storage.objects import ObjectStore
from lienthong.storage.provision import prepare_database
from lienthong.storage.server import PostgresServer
from lienthong.trust.merkle import Frontier, verify_inclusion
from lienthong.trust.seal import Seal
from lienthong.trust.tiles import TileReader, tiles_for

ROUNDS = 3
KEPT = 4_096
"""Different records made beforehand, written again and again."""


def a_record(n: int) -> Record:
    """A record of the usual size."""
    return Record(
        side="provider",
        exchange_id=f"7c9e6679-7425-40de-944b-{n:012d}",
        at=datetime.now(UTC),
        node="nut-g01",
        consumer="VN/GOV/H24/motcua",
        provider="VN/GOV/G01",
        resource="VN/GOV/G01/dancu/citizen",
        way="call",
        purpose="HP-MOTCUA-01",
        ground="law:nd-278-2025",
        agreement=AgreementRef("urn:uuid:7c9e6679-7425-40de-944b-e07fc1f90ae7", "1", "sha-256:" + "ab" * 32),
        decision_digest="sha-256:" + "cd" * 32,
        outcome="permitted",
        target_commitment="ef" * 32,
        request_signature_digest="sha-256:" + "01" * 32,
        body_digest="sha-256:" + "23" * 32,
        bytes=2048,
        rows=1,
        subjects=("45" * 32,),
    )


class CopyAlone:
    """The limit: gather what waits, one COPY, nothing else."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.waiting: list[tuple[tuple[bytes, bytes, bytes], asyncio.Future[None]]] = []
        self.wake = asyncio.Event()

    async def append(self, row: tuple[bytes, bytes, bytes]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((row, future))
        self.wake.set()
        await future

    async def run(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            batch, self.waiting = self.waiting, []
            if batch:
                await self.connection.copy_records_to_table(
                    "record", records=[row for row, _ in batch], columns=COLUMNS
                )
                for _, future in batch:
                    future.set_result(None)


async def measure(append, callers: int, seconds: float) -> tuple[float, float, float, float]:
    """Records a second, median and 99th percentile of the wait in ms, this process's CPU us a record; closed loop."""
    waits: list[float] = []
    cpu = time.process_time()
    until = time.perf_counter() + seconds

    async def caller(start: int) -> None:
        n = start
        while time.perf_counter() < until:
            begin = time.perf_counter()
            await append(n)
            waits.append((time.perf_counter() - begin) * 1000)
            n += callers

    begin = time.perf_counter()
    await asyncio.gather(*(caller(n) for n in range(callers)))
    waits.sort()
    cpu_us = (time.process_time() - cpu) / len(waits) * 1e6
    return len(waits) / (time.perf_counter() - begin), waits[len(waits) // 2], waits[int(len(waits) * 0.99)], cpu_us


async def writers(folder: Path, seconds: float) -> None:
    """Interleaved rounds of the limit and of our writer."""
    server = PostgresServer(folder / "pg")
    server.start()
    try:
        dsns = prepare_database(server.dsn(), "bench")
        connection = await asyncpg.connect(dsns.log)
        limit = CopyAlone(connection)
        task = asyncio.create_task(limit.run())
        commit = GroupCommit(dsns.log, "record", COLUMNS)
        ours = RecordWriter(commit, Seal(bytes(32)))
        evidence = {"messages": "x" * 560}
        records = [a_record(n) for n in range(KEPT)]
        leaf = write_record(records[0])
        detail = Seal(bytes(32)).encrypt(orjson.dumps(evidence), record_hash(leaf))
        rows = [(record_hash(each), each, detail) for each in map(write_record, records)]

        async def write_limit(n: int) -> None:
            await limit.append(rows[n % KEPT])

        async def write_ready(n: int) -> None:
            await commit.append(rows[n % KEPT])

        async def write_ours(n: int) -> None:
            await ours.append(records[n % KEPT], evidence)

        print(f"record: {len(leaf)} bytes")
        print("| callers | writer | records/s (min-max) | p50 ms | p99 ms | CPU us a record | of the limit |")
        print("|---|---|---|---|---|---|---|")
        under_test = {"COPY alone": write_limit, "group commit": write_ready, "record writer": write_ours}
        for callers in (4, 16, 64):
            found: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in under_test}
            for _ in range(ROUNDS):
                for name, append in under_test.items():
                    found[name].append(await measure(append, callers, seconds))
            base = statistics.median(each[0] for each in found["COPY alone"])
            for name, measured in found.items():
                rates = [each[0] for each in measured]
                rate = statistics.median(rates)
                p50, p99, cpu = (statistics.median(each[n] for each in measured) for n in (1, 2, 3))
                print(
                    f"| {callers} | {name} | {rate:,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) "
                    f"| {p50:.1f} | {p99:.1f} | {cpu:.0f} | {rate / base:.2f} |"
                )
        task.cancel()
        await commit.close()
        await connection.close()
    finally:
        server.destroy()


def whole_log(folder: Path, leaves: int) -> None:
    """Write ``leaves`` records as tiles, check the whole log."""
    store = ObjectStore(folder / "log")
    store_fast: dict[str, bytes] = {}
    begin = time.perf_counter()
    for at in range(0, leaves, 25_600):
        entries = [write_record(a_record(n)) for n in range(at, min(at + 25_600, leaves))]
        store_fast |= tiles_for(at, entries, store_fast.get)
    print(f"tiles of {leaves:,} records made in {time.perf_counter() - begin:.1f} s (without disk)")
    for path, content in store_fast.items():
        store.path(path).parent.mkdir(parents=True, exist_ok=True)
        store.path(path).write_bytes(content)
    reader = TileReader(store.get, leaves)
    root = reader.root()
    begin = time.perf_counter()
    frontier = Frontier()
    for entry in reader.entries():
        frontier.append(record_hash(entry))
    assert frontier.root() == root
    print(f"whole log of {leaves:,} records checked in {time.perf_counter() - begin:.1f} s")


def cold_proofs(folder: Path, leaves: int) -> None:
    """Prove single records among ``leaves``, each proof from tiles on disk that nobody has read yet.

    The records are 8 bytes long here, so that many millions fit: a proof reads hashes only.
    """
    store = ObjectStore(folder / "proofs")
    made: dict[str, bytes] = {}
    for at in range(0, leaves, 25_600):
        entries = [n.to_bytes(8, "big") for n in range(at, min(at + 25_600, leaves))]
        made |= {path: content for path, content in tiles_for(at, entries, made.get).items() if "entries" not in path}
    for path, content in made.items():
        store.path(path).parent.mkdir(parents=True, exist_ok=True)
        store.path(path).write_bytes(content)
    root = TileReader(store.get, leaves).root()
    times: list[float] = []
    for n in range(200):
        index = (n * 7_919_003) % leaves
        begin = time.perf_counter()
        proof = TileReader(store.get, leaves).inclusion_proof(index)
        times.append((time.perf_counter() - begin) * 1000)
        verify_inclusion(record_hash(index.to_bytes(8, "big")), index, leaves, proof, root)
    middle = statistics.median(times)
    print(f"inclusion proof from cold tiles at {leaves:,}: median {middle:.2f} ms, max {max(times):.2f} ms")


def main() -> None:
    """Both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--leaves", type=int, default=1_000_000)
    parser.add_argument("--proof-leaves", type=int, default=10_000_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(writers(Path(folder), chosen.seconds))  # the loop of a gateway
        whole_log(Path(folder), chosen.leaves)
        cold_proofs(Path(folder), chosen.proof_leaves)


if __name__ == "__main__":
    main()
