"""Changes to the directory on the national node: kept as they were signed, and carried out at the second approval."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from lienthong.directory import queries, register
from lienthong.directory.lifecycle import (
    Change,
    ChangeRefused,
    SameOperator,
    read_request,
    request_signer,
    take_approval,
    take_refusal,
)
from lienthong.directory.models import MemberId, MemberKey, Node, NodeId, read_member_id
from lienthong.directory.queries import Connection
from lienthong.i18n import T
from lienthong.trust.keys import key_id

KEY_LIFE: Final = timedelta(days=365)
VIETNAM: Final = timedelta(hours=7)
"""A day begins where the members are."""
KEY_AHEAD: Final = timedelta(minutes=2)
"""A new key counts from so much later, when every follower has heard of it."""


async def submit(db: Connection, envelope: bytes, now: datetime) -> Change:
    """Keep a request; the same one twice is one.

    A node joins under one of the keys it brings; whoever is a member already asks under a key of its own that counts.
    Raises ChangeRefused.
    """
    change, wanted = read_request(envelope, now)
    signer = request_signer(envelope)
    if change.kind == "join":
        brought = wanted.get("identity", {}).get("members", {}).values()
        entitled = signer in {key_id(jwk) for jwk in brought}
    else:
        entitled = await queries.key_counts(db, signer, change.member, now)
    if not entitled:
        raise ChangeRefused(T("The key that signed the request may not ask for this."))
    await queries.insert_change(db, change)
    return await known_change(db, change.id)


async def approve_change(db: Connection, change_id: str, approval: bytes, now: datetime) -> Change:
    """Take an operator's approval; the second one, of a different operator, carries the change out.

    Raises ChangeRefused, SameOperator, and what registering raises.
    """
    change = await known_change(db, change_id)
    approved = take_approval(change, approval, await queries.operators(db), now)
    if approved.state == "active" and (day := _day_of(approved)) is not None and day > (now + VIETNAM).date():
        raise ChangeRefused(
            T("The change acts on {day}: it waits for its second approval until then."),
            mend=T("Approve on that day or later; members see it coming meanwhile."),
            day=day.isoformat(),
        )
    persons = await queries.operator_persons(db, approved.approved_by)
    if len(persons) != len(set(persons)):
        raise SameOperator(T("Both keys are in the hand of one person."), mend=T("Have another person approve."))
    await queries.insert_approval(db, approved, approval)
    if approved.state == "active":
        _, wanted = read_request(approved.document, now)
        try:
            await _carry_out(db, approved, wanted, now)
        except (KeyError, TypeError, ValueError) as malformed:
            raise ChangeRefused(T("The request does not hold what its kind needs.")) from malformed
    return approved


def _day_of(change: Change) -> date | None:
    """The first day on which a closing acts; None for what acts at once, or is malformed."""
    _, wanted = read_request(change.document, change.changed_at)
    try:
        return date.fromisoformat(wanted["day"]) if change.kind == "close" else None
    except (KeyError, TypeError, ValueError):
        return None


async def refuse_change(db: Connection, change_id: str, refusal: bytes, now: datetime) -> Change:
    """Take an operator's refusal: the change is decided, and its member sees why.  Raises ChangeRefused."""
    change = await known_change(db, change_id)
    refused, operator = take_refusal(change, refusal, await queries.operators(db), now)
    await queries.insert_refusal(db, refused, operator, refusal)
    return refused


async def known_change(db: Connection, change_id: str) -> Change:
    """The change with this id.  Raises ChangeRefused."""
    found = await queries.change_by_id(db, change_id)
    if found is None:
        raise ChangeRefused(T("No request has the id {change}."), change=change_id)
    return found


async def _carry_out(db: Connection, change: Change, wanted: Mapping[str, Any], now: datetime) -> None:
    match change.kind:
        case "join":
            await _join(db, change.member, wanted["identity"], now)
        case "key":
            await _next_key(db, change.member, wanted["jwk"], NodeId(wanted["node"]), now)
        case "certificate":
            await register.add_certificate(db, NodeId(wanted["node"]), change.member, wanted["certificate_pem"])
        case "close":
            successor = read_member_id(wanted["successor"]) if wanted.get("successor") else None
            await register.close_member(db, change.member, successor, date.fromisoformat(wanted["day"]))


async def _join(db: Connection, operator: MemberId, told: Mapping[str, Any], now: datetime) -> None:
    node = Node(
        id=NodeId(told["node"]),
        operator=operator,
        members=tuple(MemberId(each) for each in told["members"]),
        peer_url=told["peer_url"],
        public_url=told["public_url"],
        tls_sha256=(told["tls_sha256"],),
        log_origin=told["log_origin"],
        log_key=told["log_key"],
        witness_key=told.get("witness_key", ""),
    )
    await register.add_node(db, node)
    await register.add_authority(db, told["certificate_pem"])
    for owner, jwk in told["members"].items():
        await register.add_key(db, MemberId(owner), MemberKey(key_id(jwk), jwk, node.id, now, now + KEY_LIFE))


async def _next_key(db: Connection, member: MemberId, jwk: Mapping[str, str], node: NodeId, now: datetime) -> None:
    begins = now + KEY_AHEAD
    await register.add_key(db, member, MemberKey(key_id(jwk), jwk, node, begins, begins + KEY_LIFE))
