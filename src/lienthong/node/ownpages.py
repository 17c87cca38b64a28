"""What a node shows its owner's systems about itself, on the client listener only."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qs

import orjson

from lienthong.directory.models import MemberId, SystemId, member_of
from lienthong.errors import Problem
from lienthong.exchange.answer import Headers
from lienthong.exchange.clientdoor import OwnPage
from lienthong.monitoring import queries
from lienthong.monitoring.calls import unpack
from lienthong.monitoring.counters import CONTENT_TYPE, Process, Sample, exposition
from lienthong.node.halves import halves_of_member
from lienthong.node.health import HealthDesk
from lienthong.node.local import Local
from lienthong.storage.pool import Connection, reading

JSON: Final[Headers] = [(b"content-type", b"application/json")]
TEXT: Final[Headers] = [(b"content-type", CONTENT_TYPE)]
MOST_CALLS: Final = 10_000
"""Objects in one answer, as X-Road has it."""
MOST_ROWS: Final = 2_000
LIVING: Final = timedelta(minutes=5)
"""A process that put nothing down for so long has ended."""
STATES: Final[Mapping[str, int]] = {"ok": 0, "degraded": 1, "failed": 2}


def own_pages(local: Local) -> Mapping[bytes, OwnPage]:
    """By path; each shows only what concerns the member of the system that asks."""

    async def reconciliation(system: SystemId | None, _: bytes) -> tuple[int, Headers, bytes]:
        return 200, JSON, orjson.dumps(await halves_of_member(local.pool, member_of(system or "")))

    async def monitoring(system: SystemId | None, query: bytes) -> tuple[int, Headers, bytes]:
        return 200, JSON, orjson.dumps(await monitored_calls(local, member_of(system or ""), query))

    return {b"/reconciliation": reconciliation, b"/monitoring": monitoring}


def open_pages(local: Local) -> Mapping[bytes, OwnPage]:
    """By path; what whoever reaches the client listener may read."""
    desk = HealthDesk(local)

    async def metrics(_: SystemId | None, __: bytes) -> tuple[int, Headers, bytes]:
        return 200, TEXT, await node_metrics(local, desk)

    return {b"/metrics": metrics}


async def own_receipt(db: Connection, local: Local, record: str, member: MemberId | None) -> Mapping[str, object]:
    """The whole receipt for a member that took part in the use, or where nobody is named; others get the public one.

    A node may host several members: its owner's systems are not all each other's.
    """
    public = await local.receipts.receipt(db, record)
    leaf = orjson.loads(str(public["record"]))
    if member is None or member in {member_of(leaf["consumer"]), member_of(leaf["provider"])}:
        return await local.receipts.receipt(db, record, to_owner=True)
    return public


async def monitored_calls(local: Local, member: str, query: bytes) -> Mapping[str, object]:
    """One object a call of ``member``, oldest first; ``from`` and ``to`` are milliseconds, ``limit`` a number.

    ``next`` is where to go on (``from`` of the next question) when there are more.
    """
    asked = {name: values[0] for name, values in parse_qs(query.decode("latin-1")).items()}
    begins, ends = _number(asked.get("from"), 0), _number(asked.get("to"), 2**52)
    limit = max(1, min(_number(asked.get("limit"), MOST_CALLS), MOST_CALLS))
    found: list[dict[str, object]] = []
    async with reading(local.pool) as db:
        rows = await queries.kept_calls(db, member, begins, ends, MOST_ROWS)
    for _, packed in rows:
        found += [call for call in unpack(packed) if begins <= _moment(call) < ends]
        if len(found) > limit:
            break
    found.sort(key=_moment)
    more = len(found) > limit or len(rows) == MOST_ROWS
    if len(found) > limit:
        # Calls of one millisecond stay together, so that the next question neither repeats nor skips any.
        last = _moment(found[limit - 1])
        found = [call for call in found if _moment(call) <= last]
    return {
        "member": member,
        "kept_days": local.settings.monitoring_days,
        "records": found,
        "next": _moment(found[-1]) + 1 if more and found else None,
    }


async def node_metrics(local: Local, desk: HealthDesk) -> bytes:
    """What all processes of the node counted, with the node's own figures."""
    now = datetime.now(UTC)
    async with reading(local.pool) as db:
        counters = await queries.all_counters(db, now - LIVING)
        waiting, signed = await queries.unplaced_records(db)
        size, lengths = await queries.log_size(db), await queries.queue_lengths(db)
    health = await desk.look()
    gauges: dict[str, list[Sample]] = {
        "log_records": [({}, size)],
        "log_waiting_records": [({}, waiting)],
        "checkpoint_age_seconds": [] if signed is None else [({}, round((now - signed).total_seconds(), 3))],
        "directory_age_seconds": _directory_age(local, now),
        "queue_length": [({"queue": name}, length) for name, length in lengths.items()],
        "check": [({"check": check.name}, STATES[check.state]) for check in health.checks],
        "disk_free_bytes": [({}, shutil.disk_usage(local.settings.data).free)],
    }
    return exposition([Process(name, started.timestamp(), counted) for name, started, counted in counters], gauges)


def _directory_age(local: Local, now: datetime) -> list[Sample]:
    try:
        return [({}, round(local.directory.snapshot().age(now).total_seconds(), 3))]
    except Problem:
        return []


def _moment(call: Mapping[str, object]) -> int:
    moment = call["requestInTs"]
    return moment if isinstance(moment, int) else 0


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else default
