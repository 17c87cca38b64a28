"""The node's database and the log in it."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ed25519

from lienthong.access.log import LogFiles
from lienthong.doctor import queries
from lienthong.doctor.keys import opened
from lienthong.doctor.models import Fault
from lienthong.doctor.patient import Patient
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.node.checks import LAG
from lienthong.node.prepare import LOG_KEY, log_origin
from lienthong.storage.durability import OldDatabase, UnsafeDatabase, check_durability
from lienthong.storage.migrations.runner import needs_migration
from lienthong.storage.provision import DatabaseDsns, DatabaseUnavailable, connected

NEEDED_CONNECTIONS = 20
"""What the processes of one node may open together."""


async def database(patient: Patient) -> list[Fault]:
    """Whether it answers, is safe, current, and gives its roles their rights."""
    return await asyncio.to_thread(_database, patient)


async def log(patient: Patient) -> list[Fault]:
    """Whether records get their places, and whether anything that was published is gone."""
    return await asyncio.to_thread(_log, patient)


def _database(patient: Patient) -> list[Fault]:
    if patient.dsns is None:
        return []
    try:
        with connected(patient.dsns.owner) as connection:
            try:
                check_durability(connection)
            except UnsafeDatabase as unsafe:
                return [Fault("database-unsafe", unsafe.message, unsafe.mend, unsafe.facts)]
            except OldDatabase as old:
                return [Fault("database-old", old.message, old.mend, old.facts)]
            if fault := _schema(connection):
                return [fault]
            missing, surplus = queries.role_rights(connection, _accounts(patient.dsns))
            free, most = queries.free_connections(connection)
    except DatabaseUnavailable:
        return [
            Fault(
                "database-down",
                T("The database does not answer: see that the server runs and has free connections."),
                T("Start the server; see that database in the configuration names it, and its log for why it ended."),
            )
        ]
    faults: list[Fault] = []
    if missing:
        faults.append(
            Fault(
                "rights-missing",
                T("Rights are missing in the database: {rights}."),
                T("Have the database's owner grant them: GRANT, as listed."),
                {"rights": "; ".join(missing)},
            )
        )
    if surplus:
        faults.append(
            Fault(
                "rights-surplus",
                T("An account of the node may rewrite the log: {rights}."),
                T("Revoke it: nobody but the owner of the tables may change a record, and nobody should."),
                {"rights": "; ".join(surplus)},
            )
        )
    if free + (NEEDED_CONNECTIONS if patient.running else 0) < NEEDED_CONNECTIONS:
        faults.append(
            Fault(
                "few-connections",
                T("Only {free} of {most} connections of the database server are free."),
                T("Raise max_connections of the server, or end what holds them; one node opens up to {wanted}."),
                {"free": free, "most": most, "wanted": NEEDED_CONNECTIONS},
            )
        )
    return faults


def _accounts(dsns: DatabaseDsns) -> dict[str, str]:
    return {"app": urlsplit(dsns.app).username or "", "log": urlsplit(dsns.log).username or ""}


def _schema(connection: object) -> Fault | None:
    try:
        if needs_migration(connection):  # type: ignore[arg-type] - psycopg's connection, which only queries may name
            return Fault(
                "schema-old",
                T("The tables are older than this program."),
                T("Bring them up: lienthong upgrade, or start the node: lienthong serve."),
            )
    except Problem as newer:
        return Fault("schema-newer", newer.message, newer.mend, newer.facts)
    return None


def _log(patient: Patient) -> list[Fault]:
    if patient.dsns is None:
        return []
    try:
        with connected(patient.dsns.owner) as connection:
            shard, size, waiting, age_s = queries.log_state(connection)
    except DatabaseUnavailable:
        return []
    except Exception as broken:  # a table is missing: the database's own look says which
        return [
            Fault(
                "log-unreadable",
                T("The log in the database can not be read ({error})."),
                T("Restore the database from the backup: lienthong restore."),
                {"error": type(broken).__name__},
            )
        ]
    key = opened(patient, LOG_KEY)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        return []  # the look at the keys says so
    log = LogFiles(patient.settings.data / "log", log_origin(patient.settings), key.public_key())
    files = log.shard(shard)
    faults: list[Fault] = []
    published = files.published_size()
    if published > size:
        faults.append(
            Fault(
                "log-shortened",
                T("The database knows {size} records, but a checkpoint of {published} was published."),
                T("Restore the missing records (lienthong restore); until then nothing is signed or may be."),
                {"size": size, "published": published},
            )
        )
    elif size and not published:
        faults.append(
            Fault(
                "log-files-missing",
                T("The log has {size} records, but its files under {folder} are gone."),
                T("Restore the folder from the backup, or from any copy of the public log."),
                {"size": size, "folder": str(patient.settings.data / "log")},
            )
        )
    if patient.running and waiting and age_s > LAG.total_seconds():
        faults.append(
            Fault(
                "sequencer-stopped",
                T("{waiting} durable records wait for their place in the log; no checkpoint for {minutes} minutes."),
                T("See that the jobs process runs and what its lines in the log say; records are safe meanwhile."),
                {"waiting": waiting, "minutes": int(min(age_s, 10**6) // 60)},
            )
        )
    return faults
