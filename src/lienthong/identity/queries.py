"""The tables of persons, credentials, audit and proposals: one question, one function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, LiteralString, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from lienthong.identity.models import Act, Passkey, Person, Proposal, Role
from lienthong.law.text import sort_key

Connection: TypeAlias = AsyncConnection[Any]
"""A connection of any row factory; the caller owns the transaction."""

PERSON: Final = """
    SELECT p.id, p.member, p.name, p.sort_key, p.login, p.state, p.synthetic, p.made_at,
           array(SELECT role FROM role_held r WHERE r.person = p.id) AS roles
      FROM account p
"""


def _person(row: Mapping[str, Any]) -> Person:
    roles = frozenset(Role(each) for each in row["roles"])
    plain = {name: value for name, value in row.items() if name != "roles"}
    return Person(roles=roles, **plain)


async def _rows(db: Connection, sql: LiteralString, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    async with db.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql, values)
        return await cursor.fetchall()


# Persons and roles


async def person_by_id(db: Connection, person: str) -> Person | None:
    """The person, closed or not."""
    found = await _rows(db, PERSON + " WHERE p.id = %(id)s", {"id": person})
    return _person(found[0]) if found else None


async def person_by_login(db: Connection, login: str) -> Person | None:
    """The person who types this to sign in; ``login`` as ``persons.login_key`` writes it."""
    found = await _rows(db, PERSON + " WHERE p.login = %(login)s", {"login": login})
    return _person(found[0]) if found else None


async def person_at_provider(db: Connection, issuer: str, subject: str) -> Person | None:
    """The person whom an identity provider knows under ``subject``."""
    found = await _rows(
        db,
        PERSON + " JOIN person_at_provider a ON a.person = p.id WHERE a.issuer = %(i)s AND a.subject = %(s)s",
        {"i": issuer, "s": subject},
    )
    return _person(found[0]) if found else None


async def persons_of(db: Connection, member: str) -> list[Person]:
    """All persons of a member, in the order of names."""
    found = await _rows(db, PERSON + " WHERE p.member = %(member)s ORDER BY p.sort_key, p.id", {"member": member})
    return [_person(row) for row in found]


async def names_of(db: Connection, persons: Iterable[str]) -> dict[str, str]:
    """Names to show beside ids."""
    found = await _rows(db, "SELECT id, name FROM account WHERE id = ANY(%(ids)s)", {"ids": list(persons)})
    return {row["id"]: row["name"] for row in found}


async def insert_person(
    db: Connection, person: str, member: str | None, name: str, login: str | None, synthetic: bool, now: datetime
) -> bool:
    """Add a person; False when the login is taken."""
    done = await db.execute(
        """
        INSERT INTO account (id, member, name, sort_key, login, synthetic, made_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (login) DO NOTHING
        """,
        (person, member, name, sort_key(name), login, synthetic, now),
    )
    return done.rowcount == 1


async def rename_person(db: Connection, person: str, name: str) -> None:
    """Take the name as a provider tells it now."""
    await db.execute("UPDATE account SET name = %s, sort_key = %s WHERE id = %s", (name, sort_key(name), person))


async def close_person(db: Connection, person: str) -> None:
    """Let the person in no more; sessions, credentials and links end with it."""
    await db.execute("UPDATE account SET state = 'closed' WHERE id = %s", (person,))
    await db.execute("DELETE FROM session WHERE person = %s", (person,))
    await db.execute("DELETE FROM password WHERE person = %s", (person,))
    await db.execute("DELETE FROM passkey WHERE person = %s", (person,))
    await db.execute("DELETE FROM first_link WHERE person = %s", (person,))
    await db.execute("UPDATE api_token SET withdrawn_at = now() WHERE person = %s AND withdrawn_at IS NULL", (person,))


async def give_role(db: Connection, person: str, role: Role, now: datetime) -> None:
    """Give a role; one that is held stays."""
    await db.execute(
        "INSERT INTO role_held (person, role, given_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", (person, role, now)
    )


async def take_role(db: Connection, person: str, role: Role) -> None:
    """Take a role away."""
    await db.execute("DELETE FROM role_held WHERE person = %s AND role = %s", (person, role))


async def holders(db: Connection, member: str, role: Role) -> int:
    """How many active persons of ``member`` have ``role``."""
    found = await _rows(
        db,
        """
        SELECT count(*) AS n FROM account p JOIN role_held r ON r.person = p.id
         WHERE p.member = %(member)s AND p.state = 'active' AND r.role = %(role)s
        """,
        {"member": member, "role": role},
    )
    return int(found[0]["n"])


async def link_provider(db: Connection, issuer: str, subject: str, person: str) -> bool:
    """Note who the person is at a provider; False when somebody else was noted meanwhile."""
    done = await db.execute(
        "INSERT INTO person_at_provider (issuer, subject, person) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (issuer, subject, person),
    )
    return done.rowcount == 1


async def unlink_provider(db: Connection, issuer: str, person: str) -> None:
    """Forget who the person is at a provider."""
    await db.execute("DELETE FROM person_at_provider WHERE issuer = %s AND person = %s", (issuer, person))


async def subject_at_provider(db: Connection, issuer: str, person: str) -> str | None:
    """Who the person is at a provider; None when they are not linked with it."""
    found = await _rows(
        db,
        "SELECT subject FROM person_at_provider WHERE issuer = %(i)s AND person = %(p)s ORDER BY subject LIMIT 1",
        {"i": issuer, "p": person},
    )
    return str(found[0]["subject"]) if found else None


async def issuers_of(db: Connection, person: str) -> frozenset[str]:
    """The providers that know the person."""
    found = await _rows(db, "SELECT issuer FROM person_at_provider WHERE person = %(p)s", {"p": person})
    return frozenset(str(row["issuer"]) for row in found)


async def hold_person(db: Connection, person: str) -> None:
    """Let nobody else change this account until the transaction ends."""
    await db.execute("SELECT 1 FROM account WHERE id = %s FOR UPDATE", (person,))


# Passwords, first links, passkeys


async def password_of(db: Connection, person: str) -> str | None:
    """The encoded password, or None when there is none."""
    found = await _rows(db, "SELECT encoded FROM password WHERE person = %(p)s", {"p": person})
    return str(found[0]["encoded"]) if found else None


async def put_password(db: Connection, person: str, encoded: str, now: datetime) -> None:
    """Set or replace the password."""
    await db.execute(
        """
        INSERT INTO password (person, encoded, changed_at) VALUES (%s, %s, %s)
        ON CONFLICT (person) DO UPDATE SET encoded = excluded.encoded, changed_at = excluded.changed_at
        """,
        (person, encoded, now),
    )


async def put_first_link(db: Connection, person: str, hashed: bytes, ends_at: datetime) -> None:
    """Keep a one-time link; an older one of the same person ends."""
    await db.execute("DELETE FROM first_link WHERE person = %s", (person,))
    await db.execute("INSERT INTO first_link (hash, person, ends_at) VALUES (%s, %s, %s)", (hashed, person, ends_at))


async def first_link_person(db: Connection, hashed: bytes, now: datetime) -> Person | None:
    """The active person a link still counts for."""
    found = await _rows(
        db,
        PERSON + " JOIN first_link f ON f.person = p.id"
        " WHERE f.hash = %(hash)s AND f.ends_at > %(now)s AND p.state = 'active'",
        {"hash": hashed, "now": now},
    )
    return _person(found[0]) if found else None


async def use_first_link(db: Connection, hashed: bytes) -> bool:
    """Use a link up; False when somebody was quicker."""
    return (await db.execute("DELETE FROM first_link WHERE hash = %s", (hashed,))).rowcount == 1


async def passkeys_of(db: Connection, person: str) -> list[Passkey]:
    """The person's passkeys, oldest first."""
    async with db.cursor(row_factory=class_row(Passkey)) as cursor:
        await cursor.execute("SELECT * FROM passkey WHERE person = %s ORDER BY made_at, id", (person,))
        return await cursor.fetchall()


async def passkey_by_id(db: Connection, credential: bytes) -> Passkey | None:
    """The passkey with this credential id, held until the transaction ends."""
    async with db.cursor(row_factory=class_row(Passkey)) as cursor:
        await cursor.execute("SELECT * FROM passkey WHERE id = %s FOR UPDATE", (credential,))
        return await cursor.fetchone()


async def insert_passkey(db: Connection, key: Passkey) -> bool:
    """Keep a new passkey; False when its id is known already."""
    done = await db.execute(
        """
        INSERT INTO passkey (id, person, public_key, sign_count, label, made_at) VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT DO NOTHING
        """,
        (key.id, key.person, key.public_key, key.sign_count, key.label, key.made_at),
    )
    return done.rowcount == 1


async def note_passkey_used(db: Connection, credential: bytes, sign_count: int, now: datetime) -> None:
    """Keep the counter for the next time."""
    await db.execute("UPDATE passkey SET sign_count = %s, used_at = %s WHERE id = %s", (sign_count, now, credential))


async def remove_passkey(db: Connection, person: str, credential: bytes) -> bool:
    """Forget a passkey of this person; False when they have none such."""
    done = await db.execute("DELETE FROM passkey WHERE id = %s AND person = %s", (credential, person))
    return done.rowcount == 1


# Audit and proposals


async def insert_act(db: Connection, act: Act) -> None:
    """Put an act down; its number is given here."""
    await db.execute(
        "INSERT INTO admin_act (at, person, member, act, object, facts) VALUES (%s, %s, %s, %s, %s, %s)",
        (act.at, act.person, act.member, act.act, act.object, Jsonb(dict(act.facts))),
    )


async def acts_of(db: Connection, member: str, before: int | None, most: int) -> list[Act]:
    """Acts concerning ``member`` or the whole node, newest first, below the number ``before``."""
    async with db.cursor(row_factory=class_row(Act)) as cursor:
        await cursor.execute(
            """
            SELECT number, at, person, member, act, object, facts FROM admin_act
             WHERE (member = %(m)s OR member IS NULL) AND (%(b)s::bigint IS NULL OR number < %(b)s)
             ORDER BY number DESC LIMIT %(most)s
            """,
            {"m": member, "b": before, "most": most},
        )
        return await cursor.fetchall()


async def insert_proposal(db: Connection, proposal: Proposal) -> None:
    """Keep a change that waits for a second person."""
    await db.execute(
        """
        INSERT INTO proposal (id, kind, member, wanted, reason, proposed_by, proposed_at, ends_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (proposal.id, proposal.kind, proposal.member, Jsonb(dict(proposal.wanted)), proposal.reason,
         proposal.proposed_by, proposal.proposed_at, proposal.ends_at),
    )  # fmt: skip


async def proposal_by_id(db: Connection, proposal: str) -> Proposal | None:
    """The proposal, held until the transaction ends, so that two who decide at once do not both count."""
    async with db.cursor(row_factory=class_row(Proposal)) as cursor:
        await cursor.execute("SELECT * FROM proposal WHERE id = %s FOR UPDATE", (proposal,))
        return await cursor.fetchone()


async def proposals_of(db: Connection, member: str, most: int) -> list[Proposal]:
    """Proposals of a member: open ones first, newest first."""
    async with db.cursor(row_factory=class_row(Proposal)) as cursor:
        await cursor.execute(
            "SELECT * FROM proposal WHERE member = %s ORDER BY (state <> 'open'), proposed_at DESC, id LIMIT %s",
            (member, most),
        )
        return await cursor.fetchall()


async def decide_proposal(
    db: Connection, proposal: str, state: str, person: str | None, answer: str, now: datetime
) -> None:
    """Write down how it ended."""
    await db.execute(
        "UPDATE proposal SET state = %s, decided_by = %s, decided_at = %s, answer = %s WHERE id = %s",
        (state, person, now, answer, proposal),
    )


async def expire_proposals(db: Connection, now: datetime) -> list[str]:
    """End the proposals nobody decided in time; returns their ids."""
    found = await _rows(
        db,
        "UPDATE proposal SET state = 'expired', decided_at = %(now)s WHERE state = 'open' AND ends_at <= %(now)s"
        " RETURNING id",
        {"now": now},
    )
    return [str(row["id"]) for row in found]


# Personal numbers of citizens


async def put_number(db: Connection, person: str, keyed: bytes) -> None:
    """Keep the keyed hash of a citizen's personal number, in place of an earlier one."""
    await db.execute(
        """
        INSERT INTO person_number (person, keyed) VALUES (%s, %s)
        ON CONFLICT (person) DO UPDATE SET keyed = EXCLUDED.keyed
        """,
        (person, keyed),
    )


async def number_of(db: Connection, person: str) -> bytes | None:
    """The keyed hash of the person's number; None when no provider told it."""
    found = await _rows(db, "SELECT keyed FROM person_number WHERE person = %(p)s", {"p": person})
    return bytes(found[0]["keyed"]) if found else None
