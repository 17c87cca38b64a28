"""Job ``changes``: a table under a view, compared with the hashes that the last comparison left.

Promises: masks and row filter are applied before anything is compared, so a change that the view hides is none; the
file left behind holds keys and salted hashes, no other value.  Runs in the sandbox's children only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import cast

import duckdb
import orjson

from lienthong.catalog.models import service_from_public
from lienthong.events.models import EventKeyNotUnique
from lienthong.i18n import T
from lienthong.tables.job import Job
from lienthong.tables.models import shown_fields, view_from
from lienthong.tables.page import cell_of
from lienthong.tables.scan import load_table
from lienthong.tables.sources import SourceChanged
from lienthong.tables.sql import quote_name, quote_text

_BATCH = 5_000


def changes(job: Job) -> Mapping[str, object]:
    """Compare ``table`` with the file ``previous`` ("" at the start), leave its hashes in the file ``next``.

    One JSON line a change goes out, in the order of the key: ``[kind, key, changed]``, values of the key as text.
    At the start, more rows than ``most_initial`` are not told: ``bulk`` is then true.
    """
    described = cast("Mapping[str, object]", job.args["table"])
    service = service_from_public(cast("Mapping[str, object]", described["service"]))
    view = view_from(cast("Mapping[str, object]", described["view"]))
    names = [shown.name for shown in shown_fields(service, view)]
    values = [name for name in names if name not in service.key]
    load_table(job, {**described, "name": "lt_now"})
    job.fence()
    try:
        return _compared(job, service.key, values)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as failed:
        raise SourceChanged(
            T("The table no longer fits its published description."),
            mend=T("The provider has to publish the service again."),
        ) from failed


def _compared(job: Job, key: Sequence[str], values: Sequence[str]) -> Mapping[str, object]:
    connection = job.connection
    salt, following = quote_text(str(job.args["salt"])), str(job.args["next"])
    keys = [f"CAST({quote_name(name)} AS VARCHAR) AS k{place}" for place, name in enumerate(key)]
    hashes = [
        f"md5_number_lower({salt} || coalesce('=' || CAST({quote_name(name)} AS VARCHAR), '')) AS h{place}"
        for place, name in enumerate(values)
    ]
    connection.execute(f"CREATE TABLE lt_hashed AS SELECT {', '.join([*keys, *hashes])} FROM lt_now")  # noqa: S608 - quoted
    joint = " AND ".join(f"n.k{place} = p.k{place}" for place in range(len(key)))
    every = f"SELECT DISTINCT {_listed('k', len(key))} FROM lt_hashed"  # noqa: S608 - numbers
    counted = f"SELECT count(*), (SELECT count(*) FROM ({every})) FROM lt_hashed"  # noqa: S608 - as above
    [[whole, distinct]] = connection.execute(counted).fetchall()
    if whole != distinct:
        raise EventKeyNotUnique(
            T("The table's key names several rows, so its changes can not be told apart."),
            mend=T("The provider publishes the table with a key that is unique."),
        )
    previous = str(job.args["previous"])
    bulk = not previous and whole > cast("int", job.args["most_initial"])
    if not bulk:
        before = f"read_parquet({quote_text(previous)})" if previous else "(SELECT * FROM lt_hashed WHERE false)"
        _send(job, key, values, f"lt_hashed AS n FULL JOIN {before} AS p ON {joint}")
    connection.execute(f"COPY lt_hashed TO {quote_text(following)} (FORMAT parquet, COMPRESSION zstd)")
    with open(following, "rb") as written:
        os.fsync(written.fileno())
    return {"rows": whole, "bulk": bulk}


def _send(job: Job, key: Sequence[str], values: Sequence[str], joined: str) -> None:
    differs = [f"n.h{place} IS DISTINCT FROM p.h{place}" for place in range(len(values))] or ["false"]
    kind = "CASE WHEN p.k0 IS NULL THEN 'inserted' WHEN n.k0 IS NULL THEN 'deleted' ELSE 'updated' END"
    keys = [f"coalesce(n.k{place}, p.k{place}) AS k{place}" for place in range(len(key))]
    flags = [f"{differ} AS d{place}" for place, differ in enumerate(differs)]
    changed = f"p.k0 IS NULL OR n.k0 IS NULL OR {' OR '.join(differs)}"
    job.connection.execute(
        f"CREATE TABLE lt_changed AS SELECT {kind} AS kind, {', '.join([*keys, *flags])} FROM {joined} WHERE {changed}"  # noqa: S608 - written here
    )
    match = " AND ".join(f"c.k{place} = CAST(v.{quote_name(name)} AS VARCHAR)" for place, name in enumerate(key))
    shown = [f"v.{quote_name(name)}" for name in (*key, *values)]
    own = _listed("c.k", len(key))
    told = job.connection.execute(
        f"SELECT c.kind, {own}, {_listed('c.d', len(differs))}, {', '.join(shown)}"  # noqa: S608 - as above
        f" FROM lt_changed AS c LEFT JOIN lt_now AS v ON {match} ORDER BY {own}"
    )
    while rows := told.fetchmany(_BATCH):
        job.rows += len(rows)
        job.send(b"".join(_line(row, key, values, len(differs)) for row in rows))


def _line(row: tuple[object, ...], key: Sequence[str], values: Sequence[str], flags: int) -> bytes:
    kind, texts = row[0], row[1 : 1 + len(key)]
    differs = row[1 + len(key) : 1 + len(key) + flags]
    cells = [cell_of(cell) for cell in row[1 + len(key) + flags :]]
    named = dict(zip(key, texts, strict=True))
    changed = {
        name: cell
        for name, cell, differ in zip(values, cells[len(key) :], differs, strict=False)
        if kind == "inserted" or (kind == "updated" and differ)
    }
    return orjson.dumps([kind, named, changed]) + b"\n"


def _listed(prefix: str, count: int) -> str:
    return ", ".join(f"{prefix}{place}" for place in range(count))
