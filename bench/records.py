"""Records: our writer against PostgreSQL COPY group commit alone, in one run; then the log's own figures.

Run: python bench/records.py [--seconds 3] [--leaves 1000000]
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

from lienthong.access.models import AgreementRef, Record, record_hash, write_record
from lienthong.access.write import COLUMNS, RecordWriter
from lienthong.storage.copy import GroupCommit
from lienthong.storage.objects import ObjectStore
from lienthong.storage.provision import prepare_database
from lienthong.storage.server import PostgresServer
from lienthong.trust.merkle import verify_inclusion
from lienthong.trust.seal import Seal
from lienthong.trust.tiles import TileReader, read_bundle, tiles_for

ROUNDS = 3


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


async def measure(append, callers: int, seconds: float) -> tuple[float, float, float]:
    """Records a second, median and 99th percentile of the wait in ms, with ``callers`` in a closed loop."""
    waits: list[float] = []
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
    return len(waits) / (time.perf_counter() - begin), waits[len(waits) // 2], waits[int(len(waits) * 0.99)]


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
        leaf, detail = write_record(a_record(0)), bytes(600)
        row = (record_hash(leaf), leaf, detail)
        evidence = {"messages": "x" * 560}

        async def write_limit(_: int) -> None:
            await limit.append(row)

        async def write_ours(n: int) -> None:
            await ours.append(a_record(n), evidence)

        print(f"record: {len(leaf)} bytes")
        print("| callers | writer | records/s (min-max) | p50 ms | p99 ms | of the limit |")
        print("|---|---|---|---|---|---|")
        for callers in (4, 16, 64):
            found: dict[str, list[tuple[float, float, float]]] = {"COPY alone": [], "record writer": []}
            for _ in range(ROUNDS):
                found["COPY alone"].append(await measure(write_limit, callers, seconds))
                found["record writer"].append(await measure(write_ours, callers, seconds))
            base = statistics.median(each[0] for each in found["COPY alone"])
            for name, rounds in found.items():
                rates = [each[0] for each in rounds]
                rate = statistics.median(rates)
                p50, p99 = (statistics.median(each[n] for each in rounds) for n in (1, 2))
                print(
                    f"| {callers} | {name} | {rate:,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) "
                    f"| {p50:.1f} | {p99:.1f} | {rate / base:.2f} |"
                )
        task.cancel()
        await commit.close()
        await connection.close()
    finally:
        server.destroy()


def whole_log(folder: Path, leaves: int) -> None:
    """Write ``leaves`` records as tiles, check the whole log, prove single records."""
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
    from lienthong.trust.merkle import Frontier

    begin = time.perf_counter()
    frontier = Frontier()
    for entry in reader.entries():
        frontier.append(record_hash(entry))
    assert frontier.root() == root
    print(f"whole log of {leaves:,} records checked in {time.perf_counter() - begin:.1f} s")
    times: list[float] = []
    for n in range(200):
        index = (n * 7919) % leaves
        fresh = TileReader(store.get, leaves)
        begin = time.perf_counter()
        proof = fresh.inclusion_proof(index)
        times.append((time.perf_counter() - begin) * 1000)
        leaf = read_bundle(store.get(f"tile/entries/{_numbered(index // 256)}") or b"")[index % 256]
        verify_inclusion(record_hash(leaf), index, leaves, proof, root)
    middle = statistics.median(times)
    print(f"inclusion proof from cold tiles at {leaves:,}: median {middle:.2f} ms, max {max(times):.2f} ms")


def _numbered(index: int) -> str:
    text = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03d}/{text}"
    return text


def main() -> None:
    """Both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--leaves", type=int, default=1_000_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(writers(Path(folder), chosen.seconds))
        whole_log(Path(folder), chosen.leaves)


if __name__ == "__main__":
    main()
