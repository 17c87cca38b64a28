"""Admitting to the directory: members, systems, nodes, keys, purposes, rules; closing what ended.

For the national node.  Promises: a code once given is never given to another (R-03); a closed member keeps its record
and names its successor (R-04); a child's code extends its parent's (R-05); every member has one public contact (R-06).
"""

from __future__ import annotations

import hashlib
import re
from datetime import date, datetime
from typing import Final, cast

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from lienthong.directory import queries
from lienthong.directory.document import MemberClosed, UnknownMember
from lienthong.directory.models import (
    BLOCKS,
    KINDS,
    Member,
    MemberId,
    MemberKey,
    Node,
    NodeId,
    Purpose,
    Rule,
    System,
    WitnessPolicy,
    member_of,
    read_member_id,
    read_node_id,
    read_purpose_code,
    read_system_id,
)
from lienthong.directory.queries import Connection
from lienthong.directory.revoke import KINDS as REVOCATION_KINDS
from lienthong.directory.revoke import Kind, Revocation
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.trust.keys import es256_from_jwk, key_id

_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z")
_PHONE: Final = re.compile(r"\+?[0-9][0-9 .-]{5,19}\Z")
_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")
_URL: Final = re.compile(r"https?://[^\s/]+(?:/\S*)?\Z")


class AlreadyRegistered(Problem):
    """The id, code, key or certificate is taken, perhaps by something closed: it is never given twice."""

    kind = "already-registered"
    status = 409
    side = "caller"
    title = T("Already registered")


class RegistrationRefused(Problem):
    """The entry is incomplete or contradicts what is registered; ``field`` names the part."""

    kind = "registration-refused"
    status = 422
    side = "caller"
    title = T("The entry can not be registered")


async def add_member(db: Connection, member: Member) -> None:
    """Admit a member; its keys are added one by one with ``add_key``."""
    read_member_id(member.id)
    _check(member.state == "active" and not member.keys, T("{field}: a new member is open and has no keys."), "state")
    _check(member.kind in KINDS, T("{field} is not a known kind of member."), "kind")
    _check(member.block in BLOCKS, T("{field} is not a known block."), "block")
    _check(1 <= member.security_level <= 5, T("{field} is not a level from 1 to 5."), "security_level")
    _check(member.name_vi.strip() and member.name_en.strip(), T("{field} is missing in one language."), "name")
    contact = member.contact
    whole = contact.name.strip() and contact.position.strip() and _PHONE.match(contact.phone)
    _check(whole and _EMAIL.match(contact.email), T("{field} needs name, position, phone and e-mail."), "contact")
    expected = _parent_by_code(member.id)
    _check(
        expected is None or member.parent == expected,
        T("{field}: a code extends the code of its parent by one group."),
        "parent",
    )
    if member.parent is not None:
        await _open_member(db, member.parent)
    if not await queries.insert_member(db, member):
        raise _taken(member.id)


async def close_member(db: Connection, member_id: MemberId, successor: MemberId | None, day: date) -> None:
    """Close a member that was merged or dissolved on ``day``."""
    await _open_member(db, member_id)
    if successor is not None:
        _check(successor != member_id, T("{field}: a member can not succeed itself."), "successor")
        await _open_member(db, successor)
    await queries.mark_closed(db, member_id, successor, day)


async def add_system(db: Connection, system: System) -> None:
    """Register a system of an open member."""
    read_system_id(system.id)
    _check(system.name_vi.strip() and system.name_en.strip(), T("{field} is missing in one language."), "name")
    await _open_member(db, member_of(system.id))
    if not await queries.insert_system(db, system, member_of(system.id)):
        raise _taken(system.id)


async def add_node(db: Connection, node: Node) -> None:
    """Register a node, or replace its entry: addresses, certificates and members it acts for may change."""
    read_node_id(node.id)
    _check(_URL.match(node.peer_url), T("{field} is not an address."), "peer_url")
    _check(_URL.match(node.public_url), T("{field} is not an address."), "public_url")
    _check(node.tls_sha256, T("{field}: a node shows at least one certificate."), "tls_sha256")
    _check(node.log_origin and node.log_key, T("{field}: a node has a log."), "log_key")
    _check(node.members, T("{field}: a node acts for at least one member."), "members")
    _check(1 <= node.security_level <= 5, T("{field} is not a level from 1 to 5."), "security_level")
    for member in {node.operator, *node.members}:
        await _open_member(db, member)
    for certificate in node.tls_sha256:
        _check(_SHA256.match(certificate), T("{field} is not a SHA-256 in lower-case hex."), "tls_sha256")
        owner = await queries.node_with_certificate(db, certificate)
        if owner not in (None, node.id):
            raise _taken(certificate)
    await queries.replace_node(db, node)


async def add_certificate(db: Connection, node_id: NodeId, member: MemberId, certificate_pem: str) -> None:
    """Let a node of ``member`` show one more certificate; beside it only the one before stays."""
    _check(node_id in await queries.nodes_of_operator(db, member), T("{field} is no node of the member."), "node")
    try:
        der = load_pem_x509_certificate(certificate_pem.encode()).public_bytes(Encoding.DER)
    except ValueError:
        raise RegistrationRefused(T("{field} is not a certificate in PEM."), field="certificate") from None
    sha256 = hashlib.sha256(der).hexdigest()
    owner = await queries.node_with_certificate(db, sha256)
    if owner == node_id:
        return
    if owner is not None:
        raise _taken(sha256)
    await add_authority(db, certificate_pem)
    await queries.append_certificate(db, node_id, sha256)


async def set_witness_policy(db: Connection, policy: WitnessPolicy) -> None:
    """Say how many of which registered witnesses must have cosigned a checkpoint."""
    _check(0 <= policy.threshold <= len(policy.witnesses), T("{field} is more than there are."), "threshold")
    _check(len(set(policy.witnesses)) == len(policy.witnesses), T("{field} names one twice."), "witnesses")
    for node in policy.witnesses:
        _check(await queries.is_witness(db, node), T("{field} is not a registered witness."), "witnesses")
    await queries.replace_witness_policy(db, policy)


async def add_key(db: Connection, member_id: MemberId, key: MemberKey) -> None:
    """Register a key with which ``key.node`` signs for the member.  Raises UnusableKey for anything but ES256."""
    es256_from_jwk(key.jwk)
    _check(key_id(key.jwk) == key.keyid, T("{field} is not the key's thumbprint."), "keyid")
    _check(key.valid_from < key.valid_to, T("{field}: the key is never valid."), "valid_to")
    await _open_member(db, member_id)
    _check(await queries.node_exists(db, key.node), T("{field} is not a registered node."), "node")
    if not await queries.insert_key(db, member_id, key):
        raise _taken(key.keyid)


async def revoke_key(db: Connection, keyid: str, at: datetime) -> None:
    """End a key at ``at``: what it signed before still verifies, nothing signed later does."""
    if not await queries.shorten_key(db, keyid, at):
        raise RegistrationRefused(T("{field} names no registered key."), field="keyid")


async def revoke(db: Connection, kind: str, subject: str, reason: str, at: datetime) -> None:
    """Let a key, certificate, member or agreement count no more from ``at`` on; told to every node within seconds."""
    _check(kind in REVOCATION_KINDS, T("{field} is none of key, certificate, member, agreement."), "kind")
    _check(subject.strip() and len(subject) <= 300, T("{field} is missing."), "subject")
    _check(reason.strip() and len(reason) <= 500, T("{field} is missing."), "reason")
    note = Revocation(cast("Kind", kind), subject, at, reason)
    if not await queries.insert_revocation(db, note):
        return
    if kind == "key":
        await queries.shorten_key(db, subject, at)


async def add_purpose(db: Connection, purpose: Purpose) -> None:
    """Register a task of an open member as a purpose, with its legal basis."""
    read_purpose_code(purpose.code)
    _check(purpose.title_vi.strip() and purpose.title_en.strip(), T("{field} is missing in one language."), "title")
    _check(purpose.legal_basis.strip(), T("{field} is missing."), "legal_basis")
    _check(
        purpose.valid_to is None or purpose.valid_from < purpose.valid_to, T("{field}: it is never valid."), "valid_to"
    )
    await _open_member(db, purpose.member)
    if not await queries.insert_purpose(db, purpose):
        raise _taken(purpose.code)


async def end_purpose(db: Connection, code: str, day: date) -> None:
    """Let a purpose end: ``day`` is the first on which it may not be named."""
    if not await queries.shorten_purpose(db, code, day):
        raise RegistrationRefused(T("{field} names no registered purpose."), field="code")


async def add_rule(db: Connection, rule: Rule) -> None:
    """Publish an agreement by rule.  Its signature is the provider's affair: every reader checks it."""
    await _open_member(db, rule.provider)
    await queries.insert_rule(db, rule)


async def withdraw_rule(db: Connection, document: bytes) -> None:
    """Take a published rule back, so that no further call accepts it."""
    if not await queries.delete_rule(db, document):
        raise RegistrationRefused(T("{field} names no published rule."), field="document")


async def add_authority(db: Connection, certificate_pem: str) -> None:
    """Accept TLS chains of this authority."""
    _check("BEGIN CERTIFICATE" in certificate_pem, T("{field} is not a certificate in PEM."), "certificate")
    await queries.insert_authority(db, certificate_pem)


async def _open_member(db: Connection, member_id: MemberId) -> Member:
    member = await queries.member_by_id(db, member_id)
    if member is None:
        raise UnknownMember(
            T("No member has the id {member}."), mend=T("Look the id up in the directory."), member=member_id
        )
    if member.state == "closed":
        raise MemberClosed(T("{member} is closed."), member=member_id, successor=member.successor or "")
    return member


def _parent_by_code(member_id: MemberId) -> MemberId | None:
    """The parent a dotted code demands; None for a code of the first level."""
    head, dot, _ = member_id.rpartition(".")
    return MemberId(head) if dot and "/" in head else None


def _check(holds: object, message: str, field: str) -> None:
    if not holds:
        raise RegistrationRefused(message, field=field)


def _taken(name: str) -> AlreadyRegistered:
    return AlreadyRegistered(
        T("{name} is registered already; a code is never given twice."), mend=T("Choose another."), name=name
    )
