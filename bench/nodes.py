"""Rows "Signed call", "Query over three members" and "Node": real nodes beside their limit, in one run.

    python bench/nodes.py [--seconds 3] [--rounds 3] [--persons 2000]

Starts the demo country in a folder of its own, adds an echo service at one ministry, calls it from the city's node and
alternates with uvicorn + aiohttp over mutual TLS and nothing else (``limit_nodes.py``).  The query is asked over HTTP;
beside it DuckDB answers the same question on the three tables merged locally.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from limit_nodes import BODY_BYTES, Load, running
from load import request_bytes, run_load

from lienthong.agreements.models import Permission, Terms
from lienthong.catalog.publish import PublishRequest, publish
from lienthong.demo.country import ANALYSIS_SYSTEM, HAI_PHONG, ONE_STOP, ONE_STOP_SYSTEM, POPULATION
from lienthong.demo.queries import database_of
from lienthong.demo.run import Demo
from lienthong.demo.uses import COMMUNES_SQL
from lienthong.directory.models import ServiceId
from lienthong.node.desk import open_desk
from lienthong.storage.pool import connect
from lienthong.verify import verify_receipt

ECHO = ServiceId("VN/GOV/G01/dancu/echo")
LOCAL_SQL = """
WITH people AS (SELECT commune_code, count(*) AS people FROM person WHERE province_code = '31' GROUP BY commune_code),
     parcels AS (SELECT commune_code, count(*) AS parcels, sum(area_m2) AS total_area_m2
                   FROM parcel WHERE province_code = '31' GROUP BY commune_code)
SELECT u.full_name, p.people, l.parcels, l.total_area_m2
  FROM people AS p
  JOIN parcels AS l ON l.commune_code = p.commune_code
  JOIN unit AS u ON u.code = p.commune_code AND u.level = 'commune' AND u.valid_to IS NULL
 WHERE people >= 10 AND parcels >= 10
 ORDER BY p.people DESC, u.full_name
 LIMIT 10
"""


def site_of(country: Demo, member: str):
    """The node that acts for ``member``."""
    return next(site for site in country.sites if site.actor.member.id == member)


async def add_http_service(country: Demo, service: ServiceId, port: int) -> None:
    """Publish a back end on ``port`` at the ministry and agree with the city about it."""
    provider, home = site_of(country, POPULATION), site_of(country, HAI_PHONG)
    superuser = provider.settings.database or ""
    async with await connect(database_of(superuser, provider.database)) as db:
        await publish(db, PublishRequest(service=service, source=f"http://127.0.0.1:{port}", title_vi="Bench"))
        await db.execute("SELECT pg_notify('service', 'bench')")
    now = datetime.now(UTC).replace(microsecond=0)
    terms = Terms(
        provider=POPULATION,
        consumer=HAI_PHONG,
        target=service,
        mode="request",
        legal_basis="bench",
        permissions=(
            Permission(
                purposes=(ONE_STOP,), ground="law:bench", starts=now, ends=now + timedelta(days=1), ways=("call",)
            ),
        ),
    )
    async with open_desk(home.settings, database_of(superuser, home.database)) as asking:
        await asking.request(terms, "bench")
    async with open_desk(provider.settings, database_of(superuser, provider.database)) as desk:
        for pid in await desk.requests():
            await desk.approve(pid, POPULATION)
    await asyncio.sleep(1.0)


def gateway_pids(country: Demo) -> dict[str, int]:
    """The processes that a call of the city costs: both gateways and PostgreSQL's."""
    found: dict[str, int] = {}
    for line in subprocess.run(
        ["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines():
        pid, _, args = line.strip().partition(" ")
        if "lienthong.node gateway" in args and str(country.folder) in args:
            for name, member in (("consumer", HAI_PHONG), ("provider", POPULATION)):
                if f"{site_of(country, member).settings.node}.toml" in args:
                    found[name] = int(pid)
    return found


def postgres_pids(country: Demo) -> dict[str, int]:
    """PostgreSQL's processes of this country."""
    main = country.postgres_pid()
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(main)], capture_output=True, text=True, check=True)
    return {f"pg{n}": int(pid) for n, pid in enumerate([str(main), *children.stdout.split()])}


def bench_calls(country: Demo, clients: list[int], seconds: float, rounds: int) -> None:
    """Interleaved rounds of the limit and of a signed call."""
    home = site_of(country, HAI_PHONG)
    with running("limit") as limit:
        asyncio.run(add_http_service(country, ECHO, limit.echo_port))
        ours = request_bytes(
            f"/r1/{ECHO}",
            BODY_BYTES,
            [f"X-Road-Client: {ONE_STOP_SYSTEM}", f"Lienthong-Purpose: {ONE_STOP}"],
        )
        bare = request_bytes("/x", BODY_BYTES)
        runs: dict[tuple[str, int], list[Load]] = {}
        for number in clients:
            for _ in range(rounds):
                runs.setdefault(("limit", number), []).append(
                    run_load(limit.port, bare, clients=number, seconds=seconds, pids=limit.pids)
                )
                pids = gateway_pids(country) | {"echo": limit.pids["echo"]} | postgres_pids(country)
                runs.setdefault(("signed call", number), []).append(
                    run_load(home.settings.client_port, ours, clients=number, seconds=seconds, pids=pids)
                )
    print("\n### Signed call, 2 KB JSON, both records durable\n")
    print(
        "| clients | what | req/s (min-max) | of the limit | p50 ms | p99 ms "
        "| CPU us a call, all | consumer | provider | PostgreSQL | answers |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for number in clients:
        base = statistics.median(run.per_second for run in runs["limit", number])
        for what in ("limit", "signed call"):
            measured = runs[what, number]
            rate = statistics.median(run.per_second for run in measured)
            rates = [run.per_second for run in measured]
            cpu = {k: statistics.median(r.cpu_us.get(k, 0) for r in measured) for k in ("all", "consumer", "provider")}
            pg = statistics.median(sum(v for k, v in r.cpu_us.items() if k.startswith("pg")) for r in measured)
            statuses = {k: sum(r.statuses.get(k, 0) for r in measured) for r in measured for k in r.statuses}
            print(
                f"| {number} | {what} | {rate:,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) | {rate / base:.2f} "
                f"| {statistics.median(r.p50_ms for r in measured):.1f} "
                f"| {statistics.median(r.p99_ms for r in measured):.0f} | {cpu['all']:,.0f} | {cpu['consumer']:,.0f} "
                f"| {cpu['provider']:,.0f} | {pg:,.0f} | {statuses} |"
            )


def bench_query(country: Demo, rounds: int) -> None:
    """The same question over three members' nodes and over the merged tables in DuckDB."""
    home = site_of(country, HAI_PHONG)
    url = f"http://127.0.0.1:{home.settings.client_port}/sql"
    body = json.dumps({"sql": COMMUNES_SQL}).encode()
    request = urllib.request.Request(url, body, {"X-Road-Client": ANALYSIS_SYSTEM, "Content-Type": "application/json"})

    def ask() -> int:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return len(json.loads(answer.read())["rows"])

    local = duckdb.connect()
    for member, tables in ((POPULATION, ["person"]), ("VN/GOV/G10", ["parcel"]), ("VN/ORG/NDC", ["unit"])):
        site = site_of(country, member)
        for table in tables:
            rows = asyncio.run(_rows(database_of(site.settings.database or "", site.source_database), table))
            local.register("arriving", rows)
            local.execute(f"CREATE TABLE {table} AS SELECT * FROM arriving")
    took_ours, took_local = timed(ask, rounds), timed(lambda: len(local.execute(LOCAL_SQL).fetchall()), rounds)
    print("\n### Query over three members, small answer\n")
    print("| what | p50 ms | p95 ms |")
    print("|---|---|---|")
    for what, took in (
        ("over three nodes, HTTP to HTTP", took_ours),
        ("DuckDB on the three tables merged locally", took_local),
    ):
        print(f"| {what} | {statistics.median(took):.0f} | {sorted(took)[int(len(took) * 0.95)]:.0f} |")


async def _rows(dsn: str, table: str):
    import pyarrow as pa

    async with await connect(dsn) as db:
        cursor = await db.execute(f"SELECT * FROM {table}")
        names = [column.name for column in cursor.description or []]
        return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in await cursor.fetchall()])


def timed(deed: Callable[[], int], rounds: int) -> list[float]:
    """Milliseconds of each of ``rounds`` runs, after five to warm up."""
    for _ in range(5):
        assert deed() > 0
    took: list[float] = []
    for _ in range(rounds):
        begin = time.perf_counter()
        deed()
        took.append((time.perf_counter() - begin) * 1000)
    return took


def bench_node(country: Demo) -> None:
    """Memory of an idle node's processes, and how long the small commands take."""
    print("\n### Node\n")
    print("| what | measured |")
    print("|---|---|")
    node = site_of(country, "VN/GOV/G12").settings.node
    total = 0.0
    for line in subprocess.run(
        ["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines():
        pid, _, args = line.strip().partition(" ")
        if f"{country.folder}/nodes/{node}" in args and "lienthong" in args:
            rss, pss = memory_mb(int(pid))
            total += pss
            name = args[args.index("lienthong") :].split(" --")[0]
            print(f"| {name} | {rss:.0f} MB RSS, {pss:.0f} MB PSS |")
    print(f"| whole idle node without PostgreSQL and sandbox | {total:.0f} MB PSS |")
    took = [clock([sys.executable, "-m", "lienthong.cli", "--help"]) for _ in range(5)]
    print(f"| `lienthong --help` | {statistics.median(took):.2f} s |")


def bench_idle(country: Demo, seconds: float = 20.0) -> None:
    """CPU that five nodes and their database use while nobody asks for anything."""

    def used() -> dict[str, float]:
        found: dict[str, float] = {}
        for line in subprocess.run(
            ["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True
        ).stdout.splitlines():
            pid, _, args = line.strip().partition(" ")
            if str(country.folder) in args and "lienthong.node " in args:
                role = args.split("lienthong.node ")[1].split()[0]
                found[role] = found.get(role, 0.0) + cpu_s(int(pid))
        found["PostgreSQL"] = sum(cpu_s(pid) for pid in postgres_pids(country).values())
        return found

    time.sleep(5.0)
    before = used()
    time.sleep(seconds)
    after = used()
    spent = {name: (after[name] - before.get(name, 0.0)) / seconds * 1000 for name in after}
    print("\n### Five idle nodes\n\n| part | ms of CPU a second |\n|---|---|")
    for name, each in sorted(spent.items()):
        print(f"| {name} | {each:.0f} |")
    print(f"| all | {sum(spent.values()):.0f} |")


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process and those of its children that have ended used; 0 for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident and proportional memory of a process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    values = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if ":" in line and "kB" in line}
    return int(values["Rss"]) / 1024, int(values["Pss"]) / 1024


def clock(command: list[str]) -> float:
    """Seconds that a command takes."""
    begin = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - begin


def main() -> None:
    """Start, measure, stop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--persons", type=int, default=20_000)
    parser.add_argument("--clients", type=int, nargs="+", default=[8, 32, 64])
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lt-bench-"))
    country = Demo(folder, chosen.persons, 0, "en", lambda receipt: verify_receipt(receipt).ok, quiet=True)
    try:
        begin = time.perf_counter()
        country.start()
        print(f"demo complete in {time.perf_counter() - begin:.1f} s with {chosen.persons:,} people (first start)")
        bench_node(country)
        bench_idle(country)
        bench_query(country, 40)
        bench_calls(country, chosen.clients, chosen.seconds, chosen.rounds)
        country.stop()
        begin = time.perf_counter()
        country.start()
        print(f"\nsecond start on the same data: {time.perf_counter() - begin:.1f} s")
    finally:
        country.stop()
        shutil.rmtree(folder, ignore_errors=True)
        os.sync()


if __name__ == "__main__":
    main()
