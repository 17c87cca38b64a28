"""The tables of cases: one question, one function."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from lienthong.cases.models import Case, Count, Event, Evidence

Connection: TypeAlias = AsyncConnection[Any]
"""A connection of any row factory; the caller owns the transaction."""

CASE: Final = """
    SELECT id, kind, matter, owner, opener, opener_member, title, text, about, facts, state, version, opened_at,
           opened_on, answer_due, due, answered_at, ended_at, extended, paused_at, answer_left, "left",
           escalated
      FROM case_file
"""


async def insert_case(db: Connection, case: Case, once: str | None) -> bool:
    """Keep a new case; False when the one-time key was used."""
    done = await db.execute(
        """
        INSERT INTO case_file (id, kind, matter, owner, opener, opener_member, title, text, about, facts, state,
                               opened_at, opened_on, answer_due, due, once)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (once) DO NOTHING
        """,
        (case.id, case.kind, case.matter, case.owner, case.opener, case.opener_member, case.title, case.text,
         case.about, Jsonb(dict(case.facts)), case.state, case.opened_at, case.opened_on, case.answer_due, case.due,
         once),
    )  # fmt: skip
    return done.rowcount == 1


async def case_by_id(db: Connection, case: str) -> Case | None:
    """The case as it stands."""
    async with db.cursor(row_factory=class_row(Case)) as cursor:
        await cursor.execute(CASE + " WHERE id = %s", (case,))
        return await cursor.fetchone()


async def case_by_once(db: Connection, once: str) -> Case | None:
    """The case that was opened with this one-time key."""
    async with db.cursor(row_factory=class_row(Case)) as cursor:
        await cursor.execute(CASE + " WHERE once = %s", (once,))
        return await cursor.fetchone()


async def cases_of_owner(db: Connection, owner: str, *, ended: bool, before: datetime | None, most: int) -> list[Case]:
    """Cases a member must act on: running ones as they fall due, or ended ones; newest openings first within a day."""
    async with db.cursor(row_factory=class_row(Case)) as cursor:
        await cursor.execute(
            CASE
            + """
            WHERE owner = %(owner)s AND (ended_at IS NOT NULL) = %(ended)s
              AND (%(before)s::timestamptz IS NULL OR opened_at < %(before)s)
            ORDER BY opened_at DESC, id LIMIT %(most)s
            """,
            {"owner": owner, "ended": ended, "before": before, "most": most},
        )
        return await cursor.fetchall()


async def cases_of_opener(db: Connection, person: str, *, most: int) -> list[Case]:
    """Cases a person opened, newest first."""
    async with db.cursor(row_factory=class_row(Case)) as cursor:
        await cursor.execute(CASE + " WHERE opener = %s ORDER BY opened_at DESC, id LIMIT %s", (person, most))
        return await cursor.fetchall()


async def cases_due_before(db: Connection, end: datetime) -> list[Case]:
    """Running cases of which a clock that runs ends before ``end``, the latest ones first."""
    async with db.cursor(row_factory=class_row(Case)) as cursor:
        await cursor.execute(
            CASE
            + """
            WHERE ended_at IS NULL AND paused_at IS NULL
              AND (due < %(end)s OR (answer_due < %(end)s AND answered_at IS NULL))
            ORDER BY least(due, answer_due), id
            """,
            {"end": end},
        )
        return await cursor.fetchall()


async def events_of(db: Connection, case: str) -> list[Event]:
    """The case's history, oldest first."""
    async with db.cursor(row_factory=class_row(Event)) as cursor:
        await cursor.execute(
            """
            SELECT number, at, person, member, act, state, text, reason, provision
              FROM case_event WHERE "case" = %s ORDER BY number
            """,
            (case,),
        )
        return await cursor.fetchall()


async def insert_event(db: Connection, case: str, event: Event) -> None:
    """Add to the history."""
    await db.execute(
        """
        INSERT INTO case_event ("case", number, at, person, member, act, state, text, reason, provision)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (case, event.number, event.at, event.person, event.member, event.act, event.state, event.text, event.reason,
         event.provision),
    )  # fmt: skip


async def insert_evidence(db: Connection, case: str, evidence: Evidence, sealed: bytes) -> None:
    """Keep a file."""
    await db.execute(
        """
        INSERT INTO case_evidence ("case", id, number, name, media_type, size, sha256, at, sealed)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (case, evidence.id, evidence.number, evidence.name, evidence.media_type, evidence.size, evidence.sha256,
         evidence.at, sealed),
    )  # fmt: skip


async def evidence_of(db: Connection, case: str) -> list[Evidence]:
    """The files of a case, without their content, oldest first."""
    async with db.cursor(row_factory=class_row(Evidence)) as cursor:
        await cursor.execute(
            """
            SELECT id, number, name, media_type, size, sha256, at FROM case_evidence
             WHERE "case" = %s ORDER BY number, at, id
            """,
            (case,),
        )
        return await cursor.fetchall()


async def sealed_evidence(db: Connection, case: str, evidence: str) -> tuple[Evidence, bytes] | None:
    """One file of a case with its sealed content."""
    found = await db.execute(
        """
        SELECT id, number, name, media_type, size, sha256, at, sealed FROM case_evidence
         WHERE "case" = %s AND id = %s
        """,
        (case, evidence),
    )
    row = await found.fetchone()
    return (Evidence(*row[:7]), bytes(row[7])) if row else None


async def update_case(db: Connection, case: Case, version: int) -> bool:
    """Put the case as it is now in the place of ``version``; False when that is no longer the version that stands."""
    done = await db.execute(
        """
        UPDATE case_file
           SET state = %s, version = %s, answer_due = %s, due = %s, answered_at = %s, ended_at = %s, extended = %s,
               paused_at = %s, answer_left = %s, "left" = %s, escalated = %s
         WHERE id = %s AND version = %s
        """,
        (case.state, case.version, case.answer_due, case.due, case.answered_at, case.ended_at, case.extended,
         case.paused_at, case.answer_left, case.left, case.escalated, case.id, version),
    )  # fmt: skip
    return done.rowcount == 1


async def counts(db: Connection) -> list[Count]:
    """Cases by kind and member, with those overdue: what everybody may see."""
    async with db.cursor(row_factory=class_row(Count)) as cursor:
        await cursor.execute(
            """
            SELECT kind, owner, running, overdue, ended, escalated FROM stat_case
             ORDER BY kind COLLATE "C", owner COLLATE "C"
            """
        )
        return await cursor.fetchall()
