"""The tables of the directory at the national node: one question, one function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, LiteralString, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from lienthong.directory.contents import Contents
from lienthong.directory.lifecycle import Change
from lienthong.directory.models import (
    Contact,
    Member,
    MemberId,
    MemberKey,
    Node,
    NodeId,
    Purpose,
    Rule,
    System,
    WitnessPolicy,
)
from lienthong.directory.revoke import Revocation
from lienthong.law.text import sort_key

Connection: TypeAlias = AsyncConnection[Any]
"""A connection of any row factory; the caller owns the transaction."""


async def whole_directory(db: Connection) -> Contents:
    """All the tables say, each part in the order of its ids."""
    keys = await _keys_by_member(db)
    hosted = await _members_by_node(db)
    return Contents(
        members=tuple(
            [_member(row, keys.get(row["id"], ())) for row in await _rows(db, "SELECT * FROM member ORDER BY id")]
        ),
        systems=tuple(
            [
                System(**row)
                for row in await _rows(db, "SELECT id, name_vi, name_en, default_purpose FROM system ORDER BY id")
            ]
        ),
        nodes=tuple(
            [_node(row, hosted.get(row["id"], ())) for row in await _rows(db, "SELECT * FROM node ORDER BY id")]
        ),
        purposes=tuple([Purpose(**row) for row in await _rows(db, "SELECT * FROM purpose ORDER BY code")]),
        rules=tuple([Rule(**row) for row in await _rows(db, "SELECT * FROM rule ORDER BY provider, document")]),
        authorities=tuple([row["certificate"] for row in await _rows(db, "SELECT * FROM authority ORDER BY 1")]),
        witness_policy=await witness_policy(db),
    )


async def witness_policy(db: Connection) -> WitnessPolicy:
    """How many of which nodes must have cosigned a checkpoint."""
    rows = await _rows(db, "SELECT threshold, witnesses FROM witness_policy")
    return WitnessPolicy(rows[0]["threshold"], tuple(rows[0]["witnesses"])) if rows else WitnessPolicy()


async def replace_witness_policy(db: Connection, policy: WitnessPolicy) -> None:
    """Write the one policy."""
    await db.execute(
        """
        INSERT INTO witness_policy (threshold, witnesses) VALUES (%(threshold)s, %(witnesses)s)
        ON CONFLICT (one) DO UPDATE SET threshold = excluded.threshold, witnesses = excluded.witnesses
        """,
        {"threshold": policy.threshold, "witnesses": list(policy.witnesses)},
    )


async def _rows(db: Connection, question: str, **values: object) -> list[dict[str, Any]]:
    async with db.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(question.encode(), values)
        return await cursor.fetchall()


async def _keys_by_member(db: Connection) -> Mapping[str, tuple[MemberKey, ...]]:
    keys: dict[str, tuple[MemberKey, ...]] = {}
    for row in await _rows(db, "SELECT * FROM member_key ORDER BY member, valid_from, keyid"):
        member = row.pop("member")
        keys[member] = (*keys.get(member, ()), MemberKey(**row))
    return keys


async def _members_by_node(db: Connection) -> Mapping[str, tuple[MemberId, ...]]:
    hosted: dict[str, tuple[MemberId, ...]] = {}
    for row in await _rows(db, "SELECT node, member FROM node_member ORDER BY node, member"):
        hosted[row["node"]] = (*hosted.get(row["node"], ()), MemberId(row["member"]))
    return hosted


def _member(row: Mapping[str, Any], keys: tuple[MemberKey, ...]) -> Member:
    contact = Contact(row["contact_name"], row["contact_position"], row["contact_phone"], row["contact_email"])
    own = {name: row[name] for name in Member.__slots__ if name in row}
    return Member(**own, contact=contact, keys=keys)


def _node(row: Mapping[str, Any], members: tuple[MemberId, ...]) -> Node:
    own = dict(row)
    certificates, capabilities = tuple(own.pop("tls_sha256")), tuple(own.pop("capabilities"))
    return Node(**own, members=members, tls_sha256=certificates, capabilities=capabilities)


async def member_by_id(db: Connection, member_id: MemberId) -> Member | None:
    """The member with this id, without its keys."""
    rows = await _rows(db, "SELECT * FROM member WHERE id = %(id)s", id=member_id)
    return _member(rows[0], ()) if rows else None


async def node_exists(db: Connection, node_id: NodeId) -> bool:
    """Whether a node has this id."""
    return bool(await _rows(db, "SELECT 1 FROM node WHERE id = %(id)s", id=node_id))


async def is_witness(db: Connection, node_id: NodeId) -> bool:
    """Whether a node has this id and a key to cosign with."""
    return bool(await _rows(db, "SELECT 1 FROM node WHERE id = %(id)s AND witness_key <> ''", id=node_id))


async def node_with_certificate(db: Connection, sha256: str) -> str | None:
    """The id of the node that already shows this certificate."""
    rows = await _rows(db, "SELECT id FROM node WHERE %(sha256)s = ANY (tls_sha256)", sha256=sha256)
    return rows[0]["id"] if rows else None


async def nodes_of_operator(db: Connection, member: MemberId) -> list[str]:
    """The ids of the nodes that ``member`` runs."""
    return [row["id"] for row in await _rows(db, "SELECT id FROM node WHERE operator = %(member)s", member=member)]


async def append_certificate(db: Connection, node_id: NodeId, sha256: str) -> None:
    """Let a node show one more certificate; of those it had only the newest stays."""
    await db.execute(
        """
        UPDATE node SET tls_sha256 = tls_sha256[cardinality(tls_sha256):] || %(sha256)s::text WHERE id = %(id)s
        """,
        {"id": node_id, "sha256": sha256},
    )


async def insert_member(db: Connection, member: Member) -> bool:
    """Write a new member without its keys; False when the id was ever given."""
    cursor = await db.execute(
        """
        INSERT INTO member (id, name_vi, name_en, sort_key, kind, block, parent, verified, security_level,
                            contact_name, contact_position, contact_phone, contact_email)
        VALUES (%(id)s, %(name_vi)s, %(name_en)s, %(sort_key)s, %(kind)s, %(block)s, %(parent)s, %(verified)s,
                %(security_level)s, %(contact_name)s, %(contact_position)s, %(contact_phone)s, %(contact_email)s)
        ON CONFLICT (id) DO NOTHING
        """,
        {name: getattr(member, name) for name in Member.__slots__ if name not in ("keys", "contact")}
        | {f"contact_{name}": getattr(member.contact, name) for name in Contact.__slots__}
        | {"sort_key": sort_key(member.name_vi)},
    )
    return cursor.rowcount == 1


async def mark_closed(db: Connection, member_id: MemberId, successor: MemberId | None, day: date) -> None:
    """Close a member for good."""
    await db.execute(
        "UPDATE member SET state = 'closed', successor = %(successor)s, closed_on = %(day)s WHERE id = %(id)s",
        {"id": member_id, "successor": successor, "day": day},
    )


async def insert_system(db: Connection, system: System, member: MemberId) -> bool:
    """Write a new system; False when the id was given before."""
    cursor = await db.execute(
        """
        INSERT INTO system (id, member, name_vi, name_en, default_purpose)
        VALUES (%(id)s, %(member)s, %(name_vi)s, %(name_en)s, %(default_purpose)s)
        ON CONFLICT (id) DO NOTHING
        """,
        {name: getattr(system, name) for name in System.__slots__} | {"member": member},
    )
    return cursor.rowcount == 1


async def replace_node(db: Connection, node: Node) -> None:
    """Write a node as it now is, and let it act for its members, and for them alone."""
    values = {name: getattr(node, name) for name in Node.__slots__}
    values |= {"tls_sha256": list(node.tls_sha256), "capabilities": list(node.capabilities)}
    values |= {"members": list(node.members)}
    await db.execute(
        """
        INSERT INTO node (id, operator, peer_url, public_url, tls_sha256, log_origin, log_key, platform, runs_on,
                          security_level, capabilities, witness_key)
        VALUES (%(id)s, %(operator)s, %(peer_url)s, %(public_url)s, %(tls_sha256)s, %(log_origin)s, %(log_key)s,
                %(platform)s, %(runs_on)s, %(security_level)s, %(capabilities)s,
                %(witness_key)s)
        ON CONFLICT (id) DO UPDATE
           SET operator = excluded.operator, peer_url = excluded.peer_url, public_url = excluded.public_url,
               tls_sha256 = excluded.tls_sha256, log_origin = excluded.log_origin, log_key = excluded.log_key,
               platform = excluded.platform, runs_on = excluded.runs_on,
               security_level = excluded.security_level, capabilities = excluded.capabilities,
               witness_key = excluded.witness_key
        """,
        values,
    )
    await db.execute("DELETE FROM node_member WHERE node = %(id)s AND member <> ALL (%(members)s)", values)
    await db.execute(
        """
        INSERT INTO node_member (member, node) SELECT unnest(%(members)s::text[]), %(id)s
        ON CONFLICT DO NOTHING
        """,
        values,
    )


async def insert_key(db: Connection, member: MemberId, key: MemberKey) -> bool:
    """Write a new key; False when the same key is registered already."""
    cursor = await db.execute(
        """
        INSERT INTO member_key (keyid, member, node, jwk, valid_from, valid_to)
        VALUES (%(keyid)s, %(member)s, %(node)s, %(jwk)s, %(valid_from)s, %(valid_to)s)
        ON CONFLICT (keyid) DO NOTHING
        """,
        {name: getattr(key, name) for name in MemberKey.__slots__} | {"member": member, "jwk": Jsonb(dict(key.jwk))},
    )
    return cursor.rowcount == 1


async def shorten_key(db: Connection, keyid: str, valid_to: datetime) -> bool:
    """Let a key end at ``valid_to`` if it would have ended later; False when there is no such key."""
    cursor = await db.execute(
        """
        UPDATE member_key SET valid_to = greatest(valid_from, least(valid_to, %(valid_to)s)) WHERE keyid = %(keyid)s
        """,
        {"keyid": keyid, "valid_to": valid_to},
    )
    return cursor.rowcount == 1


async def insert_purpose(db: Connection, purpose: Purpose) -> bool:
    """Write a new purpose; False when the code was given before."""
    cursor = await db.execute(
        """
        INSERT INTO purpose (code, member, title_vi, title_en, legal_basis, valid_from, valid_to, dpv, common)
        VALUES (%(code)s, %(member)s, %(title_vi)s, %(title_en)s, %(legal_basis)s, %(valid_from)s, %(valid_to)s,
                %(dpv)s, %(common)s)
        ON CONFLICT (code) DO NOTHING
        """,
        {name: getattr(purpose, name) for name in Purpose.__slots__},
    )
    return cursor.rowcount == 1


async def shorten_purpose(db: Connection, code: str, valid_to: date) -> bool:
    """Let a purpose end on ``valid_to``; False when there is no such purpose."""
    cursor = await db.execute(
        "UPDATE purpose SET valid_to = greatest(valid_from, %(valid_to)s) WHERE code = %(code)s",
        {"code": code, "valid_to": valid_to},
    )
    return cursor.rowcount == 1


async def insert_rule(db: Connection, rule: Rule) -> None:
    """Publish an agreement by rule; the same document twice is one."""
    await db.execute(
        """
        INSERT INTO rule (document, provider, provider_jws) VALUES (%(document)s, %(provider)s, %(provider_jws)s)
        ON CONFLICT (document) DO NOTHING
        """,
        {name: getattr(rule, name) for name in Rule.__slots__},
    )


async def delete_rule(db: Connection, document: bytes) -> bool:
    """Take a published rule back; False when there was none."""
    cursor = await db.execute("DELETE FROM rule WHERE document = %(document)s", {"document": document})
    return cursor.rowcount == 1


async def insert_authority(db: Connection, certificate: str) -> None:
    """Accept the TLS chains of an authority."""
    await db.execute(
        "INSERT INTO authority (certificate) VALUES (%(certificate)s) ON CONFLICT DO NOTHING",
        {"certificate": certificate},
    )


async def insert_revocation(db: Connection, revocation: Revocation) -> bool:
    """Write a revocation; False when the same thing was revoked before.  Agreements are told to be read again."""
    cursor = await db.execute(
        """
        INSERT INTO revocation (kind, subject, at, reason) VALUES (%(kind)s, %(subject)s, %(at)s, %(reason)s)
        ON CONFLICT (kind, subject) DO NOTHING
        """,
        {name: getattr(revocation, name) for name in Revocation.__slots__},
    )
    if cursor.rowcount == 1 and revocation.kind == "agreement":
        await db.execute("NOTIFY agreement")
    return cursor.rowcount == 1


async def all_revocations(db: Connection) -> tuple[int, tuple[Revocation, ...]]:
    """The number of the newest revocation (0 before the first), and all of them in order."""
    async with db.cursor(row_factory=class_row(Revocation)) as cursor:
        await cursor.execute("SELECT kind, subject, at, reason FROM revocation ORDER BY number")
        found = tuple(await cursor.fetchall())
    return len(found), found


SHOWN_REFUSED = timedelta(days=30)
_CHANGE: LiteralString = """
    SELECT id, kind, member, document, state, changed_at,
           coalesce((SELECT array_agg(operator ORDER BY at) FROM directory_approval WHERE change = id), '{}'),
           coalesce((SELECT reason FROM directory_refusal WHERE change = id), '')
      FROM directory_change
"""


async def insert_change(db: Connection, change: Change) -> None:
    """Keep a request; the same one twice is one."""
    await db.execute(
        """
        INSERT INTO directory_change (id, kind, member, document, state, changed_at)
        VALUES (%(id)s, %(kind)s, %(member)s, %(document)s, %(state)s, %(changed_at)s) ON CONFLICT (id) DO NOTHING
        """,
        {name: getattr(change, name) for name in ("id", "kind", "member", "document", "state", "changed_at")},
    )
    await db.execute(
        """
        INSERT INTO directory_change_concern (change, member)
        SELECT %(id)s, unnest(%(members)s::text[]) ON CONFLICT DO NOTHING
        """,
        {"id": change.id, "members": list(change.concerns())},
    )


async def change_by_id(db: Connection, change_id: str) -> Change | None:
    """The change with this id, locked to the end of the transaction; None when there is none."""
    cursor = await db.execute(_CHANGE + "WHERE id = %(id)s FOR UPDATE", {"id": change_id})
    row = await cursor.fetchone()
    return None if row is None else _change(row)


async def pending_changes(db: Connection, member: str | None = None) -> list[Change]:
    """What waits for approval, or was refused within ``SHOWN_REFUSED``, the oldest first.

    ``member``: only what it asked for or what touches it; else all.
    """
    sql = "SELECT change FROM directory_change_concern WHERE member = %(member)s"
    touching = await _rows(db, sql, member=member) if member else []
    cursor = await db.execute(
        _CHANGE
        + """
        WHERE (state IN ('requested', 'approved-once')
               OR (state = 'refused' AND changed_at > now() - %(shown)s::interval))
          AND (%(member)s::text IS NULL OR member = %(member)s
               OR id = ANY(%(touching)s))
        ORDER BY changed_at, id
        """,
        {"member": member, "shown": SHOWN_REFUSED, "touching": [str(row["change"]) for row in touching]},
    )
    return [_change(row) for row in await cursor.fetchall()]


async def insert_approval(db: Connection, change: Change, approval: bytes) -> None:
    """Keep the newest approval of ``change``, and how far it has come."""
    await db.execute(
        """
        INSERT INTO directory_approval (change, operator, jws, at) VALUES (%(id)s, %(operator)s, %(jws)s, %(at)s)
        """,
        {"id": change.id, "operator": change.approved_by[-1], "jws": approval.decode(), "at": change.changed_at},
    )
    await db.execute(
        "UPDATE directory_change SET state = %(state)s, changed_at = %(at)s WHERE id = %(id)s",
        {"id": change.id, "state": change.state, "at": change.changed_at},
    )


async def insert_refusal(db: Connection, change: Change, operator: str, refusal: bytes) -> None:
    """Keep the refusal of ``change``, as its operator signed it."""
    values = {"id": change.id, "operator": operator, "jws": refusal.decode(), "reason": change.reason}
    values |= {"at": change.changed_at, "state": change.state}
    await db.execute(
        """
        INSERT INTO directory_refusal (change, operator, jws, reason, at)
        VALUES (%(id)s, %(operator)s, %(jws)s, %(reason)s, %(at)s)
        """,
        values,
    )
    await db.execute("UPDATE directory_change SET state = %(state)s, changed_at = %(at)s WHERE id = %(id)s", values)


async def key_counts(db: Connection, keyid: str, member: str, at: datetime) -> bool:
    """Whether this key is the member's, counts at ``at``, and the member is open."""
    cursor = await db.execute(
        """
        SELECT 1 FROM member_key JOIN member ON member.id = member_key.member
         WHERE keyid = %(keyid)s AND member.id = %(member)s AND member.state = 'active'
           AND valid_from <= %(at)s AND %(at)s < valid_to
        """,
        {"keyid": keyid, "member": member, "at": at},
    )
    return await cursor.fetchone() is not None


async def insert_operator(
    db: Connection, keyid: str, name: str, jwk: Mapping[str, str], now: datetime, *, person: str = ""
) -> None:
    """Let an operator approve; the same key twice is one.

    ``person``: whose hand the key is in, as the national node's accounts know them: two keys of one person are one.
    """
    await db.execute(
        """
        INSERT INTO directory_operator (keyid, name, jwk, added_at) VALUES (%(keyid)s, %(name)s, %(jwk)s, %(now)s)
        ON CONFLICT (keyid) DO NOTHING
        """,
        {"keyid": keyid, "name": name, "jwk": Jsonb(dict(jwk)), "now": now},
    )
    if person:
        await db.execute(
            """
            INSERT INTO directory_operator_person (operator, person) VALUES (%(keyid)s, %(person)s)
            ON CONFLICT (operator) DO NOTHING
            """,
            {"keyid": keyid, "person": person},
        )


async def operator_persons(db: Connection, keyids: Sequence[str]) -> list[str]:
    """The persons who hold these operators' keys, as far as they are known; one twice for two keys."""
    sql = "SELECT person FROM directory_operator_person WHERE operator = ANY(%(keyids)s)"
    return [str(row["person"]) for row in await _rows(db, sql, keyids=list(keyids))]


async def operator_names(db: Connection, keyids: Sequence[str]) -> list[str]:
    """The names of the operators with these keys, in the order of the keys."""
    found = await _rows(db, "SELECT keyid, name FROM directory_operator WHERE keyid = ANY(%(keyids)s)",
                        keyids=list(keyids))  # fmt: skip
    names = {str(row["keyid"]): str(row["name"]) for row in found}
    return [names.get(keyid, keyid) for keyid in keyids]


async def operators(db: Connection) -> dict[str, dict[str, str]]:
    """Key id to public key of everyone who may approve."""
    cursor = await db.execute("SELECT keyid, jwk FROM directory_operator")
    return {str(keyid): dict(jwk) for keyid, jwk in await cursor.fetchall()}


def _change(row: tuple[Any, ...]) -> Change:  # Any: a row's columns, each of its own type
    identifier, kind, member, document, state, changed_at, approved_by, reason = row
    return Change(identifier, kind, member, bytes(document), state, changed_at, tuple(approved_by), reason)
