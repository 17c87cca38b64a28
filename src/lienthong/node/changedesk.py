"""What the coordinators' pages about changes of the directory do on the national node: check, take in, approve, refuse.

An approval on a page is signed by a key that this node keeps for the person, one a person, listed as an operator's
(docs/decisions/0020): the directory's own rule of two different operators stands, and counts persons, not keys.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from lienthong.directory import queries
from lienthong.directory.changes import approve_change, refuse_change, submit
from lienthong.directory.checks import Checked, check_change
from lienthong.directory.lifecycle import Change, approve, read_request, refuse
from lienthong.i18n import T
from lienthong.identity.approvals import StrongerSignInNeeded
from lienthong.identity.audit import put_down
from lienthong.identity.models import Actor, Assurance, Right
from lienthong.identity.rights import require
from lienthong.node.certificates import fingerprint_of_der
from lienthong.node.gathered import Gathered
from lienthong.node.local import Local
from lienthong.node.pages import NodePages
from lienthong.portal.joining import Reading, Reissued
from lienthong.portal.models import Name
from lienthong.storage.pool import Connection, reading
from lienthong.trust.keys import key_id, public_jwk

REACH_S: Final = 3.0
ADDRESS: Final = T("Address")


class NodeChangeDesk:
    """See ``portal.joining.ChangeDesk``."""

    def __init__(self, local: Local, pages: NodePages, *, least: Assurance) -> None:
        """``least``: how sure we must be of who approves; below two factors on made-up data alone."""
        self._local = local
        self._pages = pages
        self._least = least

    async def changes(self) -> Sequence[tuple[Change, Name]]:
        """What waits or was refused lately."""
        gathered = await self._pages.gathered()
        async with reading(self._local.pool) as db:
            found = await queries.pending_changes(db)
        return [(each, gathered.member_name(each.member)) for each in found]

    async def one(self, change: str, actor: Actor) -> Reading | None:
        """One change with its checks, its approvals and what a closing moves."""
        async with reading(self._local.pool) as db:
            found = await queries.change_by_id(db, change)
            if found is None:
                return None
            names = await queries.operator_names(db, found.approved_by)
            persons = await queries.operator_persons(db, found.approved_by)
        now = datetime.now(UTC)
        _, wanted = read_request(found.document, now)
        contents = self._local.directory.snapshot().contents
        gathered = await self._pages.gathered()
        checks = (*check_change(found, wanted, contents, now), *await _reached(found, wanted))
        return Reading(
            change=found,
            name=gathered.member_name(found.member),
            wanted=wanted,
            checks=checks,
            approved=names,
            own=actor.person in persons,
            reissued=reissued(gathered, found.member, now) if found.kind == "close" else (),
        )

    async def submit(self, envelope: bytes, actor: Actor) -> Change:
        """Take a signed request in."""
        async with self._deed(actor) as (db, now):
            change = await submit(db, envelope, now)
            await put_down(db, actor, "directory.submitted", change.id, {"kind": change.kind}, now=now)
        return change

    async def approve(self, change: str, actor: Actor) -> Change:
        """Sign with the person's key; the second person's carries the change out."""
        async with self._deed(actor) as (db, now):
            key = await self._key(db, actor, now)
            approved = await approve_change(db, change, approve(change, key, now), now)
            facts = {"kind": approved.kind, "state": approved.state}
            await put_down(db, actor, "directory.approved", change, facts, now=now)
        return approved

    async def refuse(self, change: str, actor: Actor, reason: str) -> Change:
        """Sign the refusal."""
        async with self._deed(actor) as (db, now):
            key = await self._key(db, actor, now)
            refused = await refuse_change(db, change, refuse(change, reason, key, now), now)
            await put_down(db, actor, "directory.refused", change, {"kind": refused.kind}, now=now)
        return refused

    @asynccontextmanager
    async def _deed(self, actor: Actor) -> AsyncGenerator[tuple[Connection, datetime]]:
        """The transaction of a deed of somebody who may; raises NotAllowed, StrongerSignInNeeded."""
        require(actor, Right.MANAGE_MEMBERS)
        if actor.assurance < self._least:
            raise StrongerSignInNeeded(
                T("A password alone is not enough for changes of trust."),
                mend=T("Add a passkey on the page of your account and sign in with it."),
            )
        async with self._local.pool.connection() as db:
            yield db, datetime.now(UTC)

    async def _key(self, db: Connection, actor: Actor, now: datetime) -> EllipticCurvePrivateKey:
        """The key kept for this person, listed as an operator's from its first use on."""
        key = self._local.keyring.es256(f"operator-{actor.person}")
        jwk = public_jwk(key)
        await queries.insert_operator(db, key_id(jwk), actor.name, jwk, now, person=str(actor.person))
        return key


def reissued(gathered: Gathered, member: str, now: datetime) -> tuple[Reissued, ...]:
    """The agreements that nodes tell of and that count, with ``member`` as a party: its successor takes them over."""
    found = (each for each in gathered.agreements.values() if not each.over(now))
    return tuple(
        Reissued(
            id=each.agreement.id,
            title=gathered.title(each.agreement.terms.target),
            provider=gathered.member_name(each.agreement.terms.provider),
            consumer=gathered.member_name(each.agreement.terms.consumer),
            target=each.agreement.terms.target,
            by_rule=each.agreement.terms.mode == "rule",
            href=gathered.agreement_url(
                each.agreement.digest, each.agreement.terms.provider, each.agreement.terms.consumer
            )
            or "",
        )
        for each in sorted(found, key=lambda each: each.agreement.id)
        if member in (each.agreement.terms.provider, each.agreement.terms.consumer)
    )


async def _reached(change: Change, wanted: Mapping[str, Any]) -> Sequence[Checked]:
    """Whether the node of a join request answers at its address with the certificate it brings."""
    if change.kind != "join":
        return ()
    try:
        told = wanted["identity"]
        address, expected, pem = str(told["peer_url"]), str(told["tls_sha256"]), str(told["certificate_pem"])
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or 443
    except (KeyError, TypeError, ValueError):
        return (Checked(ADDRESS, "bad", T("The request does not hold what its kind needs.")),)
    try:
        shown = await asyncio.wait_for(_certificate_at(host, port, pem), REACH_S)
    except ssl.SSLCertVerificationError:
        shown = ""
    except (OSError, TimeoutError, ssl.SSLError, ValueError):
        return (Checked(ADDRESS, "warn", T("Nobody answers at {address}."), {"address": address}),)
    if shown != expected:
        return (Checked(ADDRESS, "bad", T("At {address} another certificate is shown."), {"address": address}),)
    return (Checked(ADDRESS, "good", T("{address} answers with this certificate."), {"address": address}),)


async def _certificate_at(host: str, port: int, pem: str) -> str:
    """SHA-256 (hex) of the certificate shown at an address; nothing is sent but the handshake.

    Raises SSLCertVerificationError when ``pem``, the only one believed here, is not what is shown.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # a node is known by its certificate, not by a name
    context.load_verify_locations(cadata=pem)
    _, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        held = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.transport.abort()
    return fingerprint_of_der(held or b"")
