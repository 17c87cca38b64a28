"""Questions about published services, and about the PostgreSQL relation that is to become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import psycopg
from psycopg import AsyncConnection, sql
from psycopg import errors as postgres
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from lienthong.catalog.models import Service, service_from_public, source_from, source_json
from lienthong.directory.models import DatasetId, MemberId, ServiceId


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a relation as the database describes it."""

    name: str
    type: str
    """As ``format_type`` spells it, e.g. ``numeric(12,2)``."""
    category: str
    """``pg_type.typcategory``: N numbers, S texts, D dates and times, B booleans, A arrays, E enumerations, ..."""
    nullable: bool
    comment: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view that could be published."""

    name: str
    """``schema.table``, unquoted."""
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """Columns of the primary key, else of the first unique index without nullable columns."""
    indexed: tuple[str, ...]
    """Columns that lead an index: those a lookup finds quickly."""


def server_of(dsn: str) -> tuple[str, str] | None:
    """Host (or folder of a socket, or "") and port that ``dsn`` names, read as libpq does.

    None for what names several servers, an address beside the name, or cannot be read.
    """
    try:
        read = conninfo_to_dict(dsn)
    except psycopg.Error:
        return None
    host, port = str(read.get("host") or ""), str(read.get("port") or "5432")
    if "," in host or not port.isdecimal() or "hostaddr" in read or "service" in read:
        return None
    return host, port


async def open_source(dsn: str) -> AsyncConnection | None:
    """A connection to the database that holds a table to be published, or None when it does not let us in."""
    try:
        return await AsyncConnection.connect(dsn, connect_timeout=5, application_name="lienthong")
    except psycopg.Error:
        return None


async def describe_relation(source: AsyncConnection, schema: str, table: str) -> Relation | None:
    """The relation as its database describes it, or None when there is none that this account may read."""
    cursor = await source.execute(
        """
        SELECT c.oid, coalesce(obj_description(c.oid, 'pg_class'), '')
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
           AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
        """,
        (schema, table),
    )
    found = await cursor.fetchone()
    if found is None:
        return None
    oid, comment = cast("tuple[int, str]", found)
    return Relation(
        name=f"{schema}.{table}",
        comment=comment,
        columns=tuple(await _columns(source, oid)),
        key=tuple(await _key(source, oid)),
        indexed=tuple(await _indexed(source, oid)),
    )


async def relation_is_readable(source: AsyncConnection, schema: str, table: str) -> bool:
    """Whether this account may really read the rows (a view may still lack rights further down)."""
    try:
        await source.execute(sql.SQL("SELECT 1 FROM {} LIMIT 0").format(sql.Identifier(schema, table)))
    except postgres.InsufficientPrivilege:
        return False
    return True


async def lock_service(db: AsyncConnection, service: ServiceId) -> None:
    """Let nobody else publish ``service`` until this transaction ends."""
    await db.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (service,))


async def service_by_id(db: AsyncConnection, service: ServiceId) -> Service | None:
    """The service as it is published now, with its source, or None."""
    cursor = await db.execute("SELECT description, source FROM service WHERE id = %s", (service,))
    row = await cursor.fetchone()
    return None if row is None else service_from_public(row[0], source_from(row[1]))


async def all_services(db: AsyncConnection, *, enabled_only: bool = True) -> list[Service]:
    """Every service this node publishes, with sources, by id."""
    cursor = await db.execute(
        "SELECT description, source FROM service WHERE enabled OR NOT %s ORDER BY id", (enabled_only,)
    )
    return [service_from_public(row[0], source_from(row[1])) for row in await cursor.fetchall()]


async def services_of_member(db: AsyncConnection, member: MemberId) -> list[Service]:
    """The enabled services of one member, with sources, by id."""
    cursor = await db.execute(
        "SELECT description, source FROM service WHERE member = %s AND enabled ORDER BY id", (member,)
    )
    return [service_from_public(row[0], source_from(row[1])) for row in await cursor.fetchall()]


async def services_of_dataset(db: AsyncConnection, dataset: DatasetId) -> list[Service]:
    """The enabled services that give access to one dataset, with sources, by id."""
    cursor = await db.execute(
        "SELECT description, source FROM service WHERE dataset = %s AND enabled ORDER BY id", (dataset,)
    )
    return [service_from_public(row[0], source_from(row[1])) for row in await cursor.fetchall()]


async def catalogue_version(db: AsyncConnection) -> int:
    """A number that grows with every published or changed service: for caches."""
    cursor = await db.execute("SELECT coalesce(sum(version), 0) FROM service")
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def store_service(db: AsyncConnection, service: Service) -> None:
    """Insert or replace one service's description."""
    await db.execute(
        """
        INSERT INTO service (id, member, dataset, enabled, version, description, source)
        VALUES (%(id)s, %(member)s, %(dataset)s, %(enabled)s, %(version)s, %(description)s, %(source)s)
        ON CONFLICT (id) DO UPDATE
           SET member = excluded.member, dataset = excluded.dataset, enabled = excluded.enabled,
               version = excluded.version, description = excluded.description, source = excluded.source,
               changed_at = now()
        """,
        {
            "id": service.id,
            "member": service.member,
            "dataset": service.dataset,
            "enabled": service.enabled,
            "version": service.version,
            "description": Jsonb(service.public()),
            "source": None if service.source is None else Jsonb(source_json(service.source)),
        },
    )


async def _columns(source: AsyncConnection, relation: int) -> list[Column]:
    async with source.cursor(row_factory=class_row(Column)) as cursor:
        await cursor.execute(
            """
            SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, t.typcategory AS category,
                   NOT a.attnotnull AS nullable, coalesce(col_description(a.attrelid, a.attnum), '') AS comment
              FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
             WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
               AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')
             ORDER BY a.attnum
            """,
            (relation,),
        )
        return await cursor.fetchall()


async def _key(source: AsyncConnection, relation: int) -> list[str]:
    cursor = await source.execute(
        """
        SELECT array(SELECT a.attname FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
                       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum ORDER BY place)
          FROM pg_index i
         WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
           AND i.indnkeyatts = i.indnatts
           AND NOT EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = i.indrelid
                             AND a.attnum = ANY (i.indkey::int2[]) AND NOT a.attnotnull)
         ORDER BY i.indisprimary DESC, i.indexrelid
         LIMIT 1
        """,
        (relation,),
    )
    row = await cursor.fetchone()
    return list(row[0]) if row else []


async def _indexed(source: AsyncConnection, relation: int) -> list[str]:
    cursor = await source.execute(
        """
        SELECT DISTINCT a.attnum, a.attname
          FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = (i.indkey::int2[])[0]
         WHERE i.indrelid = %s AND i.indisvalid AND i.indpred IS NULL
         ORDER BY a.attnum
        """,
        (relation,),
    )
    return [row[1] for row in await cursor.fetchall()]
