"""Bulk: a shared table's files by signed address against a plain file server, and the official client's whole load.

Run: python bench/bulk.py [--rows 5000000] [--rounds 5]

The limit is asyncio's ``sendfile`` of the same files with nothing around it, read by the same client in the same run.
The load is ``delta_sharing.load_as_pandas`` in its own environment (``.venv-clients``), imports excluded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psycopg
import uvicorn
from starlette.applications import Starlette

from lienthong.catalog.models import Field, Service, TableSource
from lienthong.directory.models import ServiceId, SystemId
from lienthong.storage.pool import open_pool
from lienthong.storage.provision import DatabaseDsns, prepare_database
from lienthong.storage.server import PostgresServer
from lienthong.tables.http import share_routes
from lienthong.tables.materialise import Materialiser, Storage
from lienthong.tables.models import Profile, Reading, View
from lienthong.tables.queries import Sources
from lienthong.tables.sandbox import Keeper, Sandbox
from lienthong.tables.share import AddressSigner, make_profile
from lienthong.tables.take import Admitted, Taking
from lienthong.web import install

CLIENT = Path(__file__).parents[1] / ".venv-clients" / "bin" / "python"
TABLE = "shares/g01/schemas/kho/tables/facts"
VIEW = View(masks={"person": "partial"})
LOAD = """
import sys, time, delta_sharing
import pandas
started = time.perf_counter()
frame = delta_sharing.load_as_pandas(sys.argv[1] + "#g01.kho.facts")
shared = time.perf_counter() - started
started = time.perf_counter()
local = pandas.concat([pandas.read_parquet(path) for path in sys.argv[2:]])
assert len(local) == len(frame)
print(len(frame), shared, time.perf_counter() - started)
"""
_COLUMNS = {
    "id": ("integer", "bigint"),
    "person": ("string", "text"),
    "province": ("integer", "integer"),
    "month": ("integer", "integer"),
    "amount": ("double", "double precision"),
    "count": ("integer", "integer"),
}


class EverythingGranted:
    """A gate that says yes: what is measured here is the files."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def offered(self, profile: Profile) -> Sequence[Service]:
        return [self.service]

    async def admit(self, profile: Profile, service: Service, *, opens: bool) -> Admitted:
        return Admitted(VIEW, "")

    async def opened(self, reading: Reading) -> None:
        return

    async def closed(self, reading: Reading) -> None:
        return


def a_service(dsn: str) -> Service:
    """The table of facts."""
    return Service(
        id=ServiceId("VN/GOV/G01/kho/facts"),
        kind="table",
        title_vi="Số liệu",
        title_en="Facts",
        sharing="shared",
        fields=tuple(Field(name, kind) for name, (kind, _) in _COLUMNS.items()),  # type: ignore[arg-type]
        key=("id",),
        source=TableSource(
            "postgres", dsn, "public.facts", columns=tuple((name, kind) for name, (_, kind) in _COLUMNS.items())
        ),
    )


def fill(dsn: str, rows: int) -> None:
    """Make the table."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            """
            CREATE TABLE facts AS
            SELECT n::bigint AS id, lpad((random() * 1e12)::bigint::text, 12, '0') AS person,
                   (n %% 34)::int AS province, (n %% 12)::int AS month, random() AS amount, (n %% 9)::int AS count
              FROM generate_series(1, %s::bigint) n
            """,
            (rows,),
        )
        connection.execute("ALTER TABLE facts ADD PRIMARY KEY (id); GRANT SELECT ON facts TO PUBLIC")


async def door(listener: socket.socket, url: str, dsn: str, folder: Path) -> None:
    """The provider's sharing door."""
    pool = await open_pool(dsn)
    materialiser = Materialiser(pool, Storage(folder / "share"), Sandbox(folder / "sandbox.sock"), Sources())
    signer = AddressSigner(bytes(32))
    app = Starlette(
        routes=share_routes(Taking(pool, EverythingGranted(a_service(dsn)), materialiser, signer), signer, url)
    )
    install(app)
    await uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off")).serve([listener])


async def plain(listener: socket.socket, folder: Path) -> None:
    """The limit: a request line in, ``sendfile`` out."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        while (await reader.readline()).strip():
            pass
        path = folder / line.split()[1].decode().lstrip("/")
        with path.open("rb") as content:
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {path.stat().st_size}\r\n\r\n".encode())
            await asyncio.get_running_loop().sendfile(writer.transport, content)
        writer.close()

    server = await asyncio.start_server(answer, sock=listener)
    await server.serve_forever()


def _door(listener: socket.socket, url: str, dsn: str, folder: Path) -> None:
    import structlog

    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    import uvloop

    uvloop.run(door(listener, url, dsn, folder))


def _plain(listener: socket.socket, folder: Path) -> None:
    asyncio.run(plain(listener, folder))


def _sandbox(path: Path) -> None:
    async def keep() -> None:
        await Keeper(path).start(warm=True)
        await asyncio.Event().wait()

    asyncio.run(keep())


def fetch(url: str) -> int:
    """Read one answer to its end and throw it away; its bytes."""
    parts = urlsplit(url)
    buffer = bytearray(1 << 20)
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as server:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        server.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        taken = 0
        while count := server.recv_into(buffer):
            taken += count
    return taken


def speed(urls: Sequence[str]) -> float:
    """MB/s over all ``urls`` one after the other."""
    started = time.perf_counter()
    taken = sum(fetch(url) for url in urls)
    return taken / (time.perf_counter() - started) / 1e6


def listening() -> tuple[socket.socket, str]:
    """A free port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def ask(profile: dict[str, object]) -> list[dict[str, object]]:
    """The files of a table query."""
    request = Request(
        f"{profile['endpoint']}{TABLE}/query",
        data=b"{}",
        headers={"Authorization": f"Bearer {profile['bearerToken']}", "Content-Type": "application/json"},
    )
    with urlopen(request) as answer:
        return [entry["file"] for line in answer if "file" in (entry := json.loads(line))]


async def new_profile(dsn: str, endpoint: str) -> dict[str, object]:
    """A profile of an hour."""
    async with await psycopg.AsyncConnection.connect(dsn) as db:
        return await make_profile(
            db, agreement="urn:uuid:bench", system=SystemId("VN/GOV/H24/kho"), purpose=None,
            expires=datetime.now(UTC) + timedelta(hours=1), endpoint=endpoint,
        )  # fmt: skip


def measure(dsns: DatabaseDsns, folder: Path, rows: int, rounds: int) -> None:
    """Fill, share, fetch, print."""
    fill(dsns.owner, rows)
    door_listener, door_url = listening()
    plain_listener, plain_url = listening()
    jobs: list[tuple[Callable[..., None], tuple[object, ...]]] = [
        (_sandbox, (folder / "sandbox.sock",)),
        (_door, (door_listener, door_url, dsns.app, folder)),
        (_plain, (plain_listener, folder / "share")),
    ]
    processes = [multiprocessing.Process(target=target, args=args, daemon=False) for target, args in jobs]
    try:
        for process in processes:
            process.start()
        profile = asyncio.run(new_profile(dsns.app, f"{door_url}/delta/"))
        started = time.perf_counter()
        files = ask(profile)
        print(f"{rows:,} rows of PostgreSQL to {len(files)} files: {time.perf_counter() - started:.1f} s")
        shared = [str(file["url"]) for file in files]
        same = [f"{plain_url}/{path.relative_to(folder / 'share')}" for path in (folder / "share").rglob("*.parquet")]
        ours, limit = [], []
        for _ in range(rounds):
            limit.append(speed(same))
            ours.append(speed(shared))
        size = sum(int(str(file["size"])) for file in files) / 1e6
        middle, anchor = statistics.median(ours), statistics.median(limit)
        print(f"{size:.0f} MB of Parquet by signed address: {middle:.0f} MB/s; plain sendfile {anchor:.0f} MB/s;"
              f" ratio {middle / anchor:.2f} (goal >= 500 MB/s)")  # fmt: skip
        _official(folder, profile)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _official(folder: Path, profile: dict[str, object]) -> None:
    if not CLIENT.exists():
        print("official client: no .venv-clients (make clients)")
        return
    (folder / "profile.share").write_text(json.dumps(profile))
    files = [str(path) for path in sorted((folder / "share").rglob("*.parquet"))]
    for _ in range(3):
        outcome = subprocess.run(
            [str(CLIENT), "-W", "ignore", "-c", LOAD, str(folder / "profile.share"), *files],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        count, shared, local = outcome.stdout.split()
        print(f"official client, {int(count):,} rows into pandas: {float(shared):.2f} s; pandas on the same files on"
              f" disk {float(local):.2f} s (goal <= 2 s for 5 M)")  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=5_000_000)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(prefix="lienthong-bench-") as made:
        server = PostgresServer(Path(made) / "pg")
        server.start()
        try:
            measure(prepare_database(server.dsn(), "bench"), Path(made), chosen.rows, chosen.rounds)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
