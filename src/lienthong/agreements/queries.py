"""The tables of agreements: one question, one function; the caller owns the transaction."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, LiteralString, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

from lienthong.agreements.models import Agreement
from lienthong.agreements.reading import parse_agreement
from lienthong.agreements.records import CurrentAgreement, Negotiation, Notice, StoredDocument
from lienthong.agreements.states import Party, State
from lienthong.agreements.vocabulary import SUCCEEDS
from lienthong.directory.models import Rule
from lienthong.storage.pool import next_notice

Connection: TypeAlias = AsyncConnection[Any]
"""A connection of any row factory."""

CHANGES = "agreement"
"""The channel on which every change is told, inside the transaction that makes it."""


async def insert_document(db: Connection, agreement: Agreement, provider_jws: str, consumer_jws: str | None,
                          now: datetime) -> None:  # fmt: skip
    """Store a signed document; the same one twice is one."""
    await db.execute(
        """
        INSERT INTO agreement_document (digest, agreement, version, by_rule, document, provider_jws, consumer_jws,
                                        stored_at)
        VALUES (%(digest)s, %(id)s, %(version)s, %(by_rule)s, %(document)s, %(provider_jws)s, %(consumer_jws)s, %(now)s)
        ON CONFLICT (digest) DO NOTHING
        """,
        {
            "digest": agreement.digest,
            "id": agreement.id,
            "version": agreement.version,
            "by_rule": agreement.terms.mode == "rule",
            "document": agreement.document,
            "provider_jws": provider_jws,
            "consumer_jws": consumer_jws,
            "now": now,
        },
    )


async def stored_document(db: Connection, digest: str) -> StoredDocument | None:
    """The document with this digest."""
    async with db.cursor(row_factory=class_row(StoredDocument)) as cursor:
        await cursor.execute("SELECT * FROM agreement_document WHERE digest = %(digest)s", {"digest": digest})
        return await cursor.fetchone()


async def document_versions(db: Connection, agreement_id: str) -> list[StoredDocument]:
    """Every version of an agreement, the newest first."""
    async with db.cursor(row_factory=class_row(StoredDocument)) as cursor:
        await cursor.execute(
            "SELECT * FROM agreement_document WHERE agreement = %(id)s ORDER BY version DESC", {"id": agreement_id}
        )
        return await cursor.fetchall()


async def documents(db: Connection, digests: Sequence[str]) -> list[StoredDocument]:
    """The documents with these digests, in no order."""
    async with db.cursor(row_factory=class_row(StoredDocument)) as cursor:
        await cursor.execute(
            "SELECT * FROM agreement_document WHERE digest = ANY (%(digests)s)", {"digests": list(digests)}
        )
        return await cursor.fetchall()


async def agreement_ids(db: Connection) -> list[str]:
    """The id of every agreement with a stored document."""
    async with db.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT DISTINCT agreement FROM agreement_document ORDER BY 1")
        return await cursor.fetchall()


async def publish_rules(db: Connection, digests: Sequence[str]) -> list[str]:
    """Mark exactly these agreements by rule as listed in the directory; the ids of those whose mark changed."""
    async with db.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """
            UPDATE agreement_document SET published = (digest = ANY (%(digests)s))
             WHERE by_rule AND published <> (digest = ANY (%(digests)s))
            RETURNING agreement
            """,
            {"digests": list(digests)},
        )
        return await cursor.fetchall()


async def insert_acceptance(db: Connection, digest: str, member: str, exchange_id: str, at: datetime) -> bool:
    """Record the first use of an agreement by rule; False when the member had accepted it before."""
    cursor = await db.execute(
        """
        INSERT INTO agreement_acceptance (digest, member, at, exchange_id)
        VALUES (%(digest)s, %(member)s, %(at)s, %(exchange_id)s)
        ON CONFLICT DO NOTHING
        """,
        {"digest": digest, "member": member, "at": at, "exchange_id": exchange_id},
    )
    return cursor.rowcount == 1


async def acceptances(db: Connection) -> list[tuple[str, str]]:
    """Digest and member of every acceptance of an agreement by rule."""
    async with db.cursor() as cursor:
        await cursor.execute("SELECT digest, member FROM agreement_acceptance")
        return [(str(digest), str(member)) for digest, member in await cursor.fetchall()]


async def is_accepted(db: Connection, digest: str) -> bool:
    """Whether any member has accepted this agreement by rule."""
    async with db.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "SELECT EXISTS (SELECT FROM agreement_acceptance WHERE digest = %(digest)s)", {"digest": digest}
        )
        return bool(await cursor.fetchone())


async def is_succeeded(db: Connection, digest: str) -> bool:
    """Whether an agreement that counts takes over the one with this digest."""
    async with db.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """
            SELECT EXISTS (SELECT FROM agreement JOIN agreement_document USING (digest)
                            WHERE position(%(named)s::bytea IN document) > 0)
            """,
            {"named": _succeeds(digest)},
        )
        return bool(await cursor.fetchone())


async def awaits_succession(db: Connection, digest: str) -> bool:
    """Whether a negotiation under way is to take over the agreement with this digest."""
    async with db.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            """
            SELECT EXISTS (SELECT FROM negotiation WHERE state NOT IN ('FINALIZED', 'TERMINATED')
                                                     AND position(%(named)s::bytea IN offer) > 0)
            """,
            {"named": _succeeds(digest)},
        )
        return bool(await cursor.fetchone())


async def rule_succeeding(db: Connection, digest: str) -> Rule | None:
    """The agreement by rule that was signed here to take over the one with this digest."""
    async with db.cursor(row_factory=class_row(StoredDocument)) as cursor:
        await cursor.execute(
            """
            SELECT * FROM agreement_document WHERE by_rule AND position(%(named)s::bytea IN document) > 0 LIMIT 1
            """,
            {"named": _succeeds(digest)},
        )
        stored = await cursor.fetchone()
    if stored is None:
        return None
    provider = parse_agreement(stored.document).terms.provider
    return Rule(provider, bytes(stored.document), stored.provider_jws)


def _succeeds(digest: str) -> bytes:
    """How a canonical document says that it takes over the one with this digest."""
    return f'"{SUCCEEDS}":"{digest}"'.encode()


async def published_rules(db: Connection) -> list[str]:
    """Digests of the agreements by rule the directory lists."""
    async with db.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT digest FROM agreement_document WHERE published")
        return await cursor.fetchall()


async def insert_notice(db: Connection, notice: Notice) -> None:
    """Store a notice; the same one twice is one."""
    await db.execute(
        """
        INSERT INTO agreement_notice (digest, agreement, ends, document, jws, by_member, ends_at, stored_at,
                                      delivered)
        VALUES (%(digest)s, %(agreement)s, %(ends)s, %(document)s, %(jws)s, %(by_member)s, %(ends_at)s, %(stored_at)s,
                %(delivered)s)
        ON CONFLICT (digest) DO NOTHING
        """,
        {name: getattr(notice, name) for name in Notice.__slots__},
    )


async def notices_on(db: Connection, digest: str) -> list[Notice]:
    """The notices that end this version, the earliest end first."""
    async with db.cursor(row_factory=class_row(Notice)) as cursor:
        await cursor.execute(
            "SELECT * FROM agreement_notice WHERE ends = %(digest)s ORDER BY ends_at, digest", {"digest": digest}
        )
        return await cursor.fetchall()


async def put_current(db: Connection, current: CurrentAgreement, purposes: Sequence[str]) -> None:
    """Write the index rows of one agreement, replacing those it had."""
    values = {name: getattr(current, name) for name in CurrentAgreement.__slots__} | {"purposes": list(purposes)}
    await drop_current(db, current.id)
    await db.execute(
        """
        INSERT INTO agreement (id, version, digest, mode, provider, consumer, target, starts, ends, ended_at)
        VALUES (%(id)s, %(version)s, %(digest)s, %(mode)s, %(provider)s, %(consumer)s, %(target)s, %(starts)s,
                %(ends)s, %(ended_at)s)
        """,
        values,
    )
    await db.execute(
        """
        INSERT INTO agreement_target (agreement, target, provider, consumer, purpose)
        SELECT %(id)s, %(target)s, %(provider)s, %(consumer)s, unnest(%(purposes)s::text[])
        """,
        values,
    )


async def drop_current(db: Connection, agreement_id: str) -> None:
    """Remove the index rows of one agreement."""
    await db.execute("DELETE FROM agreement WHERE id = %(id)s", {"id": agreement_id})


async def drop_orphans(db: Connection) -> None:
    """Remove index rows that no document stands behind."""
    await db.execute("DELETE FROM agreement WHERE digest NOT IN (SELECT digest FROM agreement_document)")


async def lock_agreement(db: Connection, agreement_id: str) -> None:
    """Wait until nobody else writes this agreement; held to the end of the transaction."""
    await db.execute("SELECT pg_advisory_xact_lock(hashtextextended('agreement ' || %(id)s, 0))", {"id": agreement_id})


async def lock_index(db: Connection) -> None:
    """Keep every other writer from the index tables until the transaction ends; readers go on."""
    await db.execute("LOCK TABLE agreement IN SHARE ROW EXCLUSIVE MODE")


async def tell_change(db: Connection, agreement_id: str) -> None:
    """Tell every listening process, when the transaction commits, that an agreement changed."""
    await db.execute("SELECT pg_notify(%(channel)s, %(id)s)", {"channel": CHANGES, "id": agreement_id})


async def changes(db: Connection, quiet_s: float) -> AsyncGenerator[None]:
    """Once at the start, then after every batch of changes and after each ``quiet_s`` seconds without any.

    ``db`` must be in autocommit; it belongs to the listener for good.
    """
    await db.execute(f"LISTEN {CHANGES}".encode())
    while True:
        yield
        await next_notice(db, quiet_s)


_CURRENT: LiteralString = """
    SELECT agreement.id, version, digest, mode, provider, consumer, target, starts, ends,
           least(ended_at, revocation.at) AS ended_at
      FROM agreement LEFT JOIN revocation ON revocation.kind = 'agreement' AND revocation.subject = agreement.id
"""
"""A revocation told by the directory ends an agreement as a notice of its parties would."""


async def current_agreements(db: Connection) -> list[CurrentAgreement]:
    """Every agreement that counts, in the order of ids."""
    async with db.cursor(row_factory=class_row(CurrentAgreement)) as cursor:
        await cursor.execute(_CURRENT + "ORDER BY id")
        return await cursor.fetchall()


async def current_agreement(db: Connection, agreement_id: str) -> CurrentAgreement | None:
    """The version of this agreement that counts."""
    async with db.cursor(row_factory=class_row(CurrentAgreement)) as cursor:
        await cursor.execute(_CURRENT + "WHERE id = %(id)s", {"id": agreement_id})
        return await cursor.fetchone()


async def agreed_purposes(db: Connection, agreement_id: str) -> list[str]:
    """The purposes an agreement names, as indexed."""
    async with db.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "SELECT purpose FROM agreement_target WHERE agreement = %(id)s ORDER BY 1", {"id": agreement_id}
        )
        return await cursor.fetchall()


async def insert_negotiation(db: Connection, negotiation: Negotiation) -> None:
    """Begin a negotiation on this side."""
    await db.execute(
        """
        INSERT INTO negotiation (pid, peer_pid, side, state, provider, consumer, target, offer, predecessor, note,
                                 requested_at, changed_at, delivered)
        VALUES (%(pid)s, %(peer_pid)s, %(side)s, %(state)s, %(provider)s, %(consumer)s, %(target)s, %(offer)s,
                %(predecessor)s, %(note)s, %(requested_at)s, %(changed_at)s, %(delivered)s)
        """,
        {name: getattr(negotiation, name) for name in Negotiation.__slots__},
    )


async def negotiation_for_update(db: Connection, pid: str) -> Negotiation | None:
    """The negotiation with this side's id, kept from others until the transaction ends."""
    async with db.cursor(row_factory=class_row(Negotiation)) as cursor:
        await cursor.execute("SELECT * FROM negotiation WHERE pid = %(pid)s FOR UPDATE", {"pid": pid})
        return await cursor.fetchone()


async def negotiation_by_peer(db: Connection, side: Party, peer_pid: str) -> Negotiation | None:
    """The negotiation to which the other side gave this id."""
    async with db.cursor(row_factory=class_row(Negotiation)) as cursor:
        await cursor.execute(
            "SELECT * FROM negotiation WHERE side = %(side)s AND peer_pid = %(peer_pid)s FOR UPDATE",
            {"side": side, "peer_pid": peer_pid},
        )
        return await cursor.fetchone()


async def negotiations_in(db: Connection, side: Party, states: Sequence[State]) -> list[Negotiation]:
    """This side's negotiations in any of ``states``, the oldest first."""
    async with db.cursor(row_factory=class_row(Negotiation)) as cursor:
        await cursor.execute(
            """
            SELECT * FROM negotiation WHERE side = %(side)s AND state = ANY (%(states)s) ORDER BY requested_at, pid
            """,
            {"side": side, "states": list(states)},
        )
        return await cursor.fetchall()


async def undelivered_negotiations(db: Connection) -> list[Negotiation]:
    """Negotiations whose other side has not answered the last message, the oldest first."""
    async with db.cursor(row_factory=class_row(Negotiation)) as cursor:
        await cursor.execute("SELECT * FROM negotiation WHERE NOT delivered ORDER BY changed_at, pid")
        return await cursor.fetchall()


async def undelivered_notices(db: Connection) -> list[Notice]:
    """Our notices that the other side has not answered, the oldest first."""
    async with db.cursor(row_factory=class_row(Notice)) as cursor:
        await cursor.execute("SELECT * FROM agreement_notice WHERE NOT delivered ORDER BY stored_at, digest")
        return await cursor.fetchall()


async def mark_notice_delivered(db: Connection, digest: str) -> None:
    """The other side has answered a notice."""
    await db.execute("UPDATE agreement_notice SET delivered = true WHERE digest = %(digest)s", {"digest": digest})


async def mark_delivered(db: Connection, pid: str) -> None:
    """The other side has answered the last message of a negotiation."""
    await db.execute("UPDATE negotiation SET delivered = true WHERE pid = %(pid)s", {"pid": pid})


async def update_negotiation(db: Connection, negotiation: Negotiation) -> None:
    """Write what may change in a negotiation."""
    await db.execute(
        """
        UPDATE negotiation
           SET peer_pid = %(peer_pid)s, state = %(state)s, document = %(document)s, provider_jws = %(provider_jws)s,
               consumer_jws = %(consumer_jws)s, ended_by = %(ended_by)s, reason = %(reason)s,
               provision = %(provision)s, changed_at = %(changed_at)s, delivered = %(delivered)s
         WHERE pid = %(pid)s
        """,
        {name: getattr(negotiation, name) for name in Negotiation.__slots__},
    )
