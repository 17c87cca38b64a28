"""What an operator should know before approving a change of the directory, each check in words with a grade.

Pure.  Promise: what registering would refuse is found here first, and told before anybody signs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, load_pem_x509_certificate

from lienthong.directory.contents import Contents
from lienthong.directory.lifecycle import Change
from lienthong.directory.models import Member
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.law.agencies import AgencyCodeInvalid, agency_on
from lienthong.trust.keys import es256_from_jwk, key_id

Grade = Literal["good", "warn", "bad"]
SOON_DAYS: Final = 30
"""A certificate that ends within so many days is doubtful: the next one would follow at once."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One check and what it found."""

    subject: str
    """What was looked at; a message marked with ``T``."""
    grade: Grade
    says: str
    """A message marked with ``T``."""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])


MEMBER: Final = T("Member")
BASIS: Final = T("Agency code and legal basis")
CERTIFICATE: Final = T("Certificate")
KEY: Final = T("Signing key")
NODE: Final = T("Node")
SUCCESSOR: Final = T("Successor")
BELOW: Final = T("Members below")
REQUEST: Final = T("Request")


def check_change(change: Change, wanted: Mapping[str, Any], contents: Contents, now: datetime) -> tuple[Checked, ...]:
    """The checks of one change against the directory as it is.  ``wanted``: JSON as each kind wants it."""
    members = {str(each.id): each for each in contents.members}
    try:
        match change.kind:
            case "join":
                found = _join(change, wanted["identity"], members, contents, now)
            case "key":
                found = _key(change, wanted["jwk"], wanted["node"], members, contents)
            case "certificate":
                found = _certificate(wanted["certificate_pem"], str(wanted["node"]), contents, now)
            case "close":
                found = _close(change, wanted, members, contents, now)
        return tuple(found)
    except (KeyError, TypeError, ValueError, AttributeError, Problem):
        return (Checked(REQUEST, "bad", T("The request does not hold what its kind needs.")),)


def _join(
    change: Change, told: Mapping[str, Any], members: Mapping[str, Member], contents: Contents, now: datetime
) -> Iterator[Checked]:
    for owner, jwk in told["members"].items():
        yield from _member(str(owner), members, now.date())
        yield _jwk(str(owner), jwk, members)
    known = next((node for node in contents.nodes if node.id == told["node"]), None)
    if known is None:
        yield Checked(NODE, "good", T("{node} is new."), {"node": told["node"]})
    elif known.operator == change.member:
        yield Checked(NODE, "warn", T("{node} is listed already: its entry is replaced."), {"node": told["node"]})
    else:
        yield Checked(NODE, "bad", T("{node} belongs to {member}."), {"node": known.id, "member": known.operator})
    yield from _certificate(told["certificate_pem"], str(told["node"]), contents, now, shown=str(told["tls_sha256"]))


def _member(owner: str, members: Mapping[str, Member], day: date) -> Iterator[Checked]:
    member = members.get(owner)
    if member is None:
        yield Checked(MEMBER, "bad", T("{member} is not admitted yet: admit it first."), {"member": owner})
        return
    if member.state == "closed":
        yield Checked(MEMBER, "bad", T("{member} is closed."), {"member": owner})
        return
    yield Checked(MEMBER, "good", T("{member} is admitted: {name}."), {"member": owner, "name": member.name_vi})
    yield _basis(member, day)


def _basis(member: Member, day: date) -> Checked:
    code = member.id.rpartition("/")[2]
    try:
        agency = agency_on(code, day) if "/GOV/" in member.id else None
    except AgencyCodeInvalid:
        agency = None
    if agency is not None and agency.legal_basis:
        facts = {"code": code, "name": agency.name_vi, "basis": agency.legal_basis}
        return Checked(BASIS, "good", T("{code} is {name}: {basis}."), facts)
    if member.verified:
        return Checked(BASIS, "good", T("Whoever admitted {code} checked it against the list."), {"code": code})
    return Checked(BASIS, "warn", T("Nobody has checked {code} against a published list."), {"code": code})


def _jwk(owner: str, jwk: Mapping[str, str], members: Mapping[str, Member]) -> Checked:
    try:
        es256_from_jwk(jwk)
    except Problem:
        return Checked(KEY, "bad", T("The key of {member} is not usable for ES256."), {"member": owner})
    keyid = key_id(jwk)
    holder = next((each.id for each in members.values() if any(key.keyid == keyid for key in each.keys)), None)
    if holder is not None:
        return Checked(
            KEY, "bad", T("The key {key} is listed already, for {member}."), {"key": keyid, "member": holder}
        )
    return Checked(KEY, "good", T("{member} brings the new key {key}."), {"key": keyid, "member": owner})


def _key(
    change: Change, jwk: Mapping[str, str], node: object, members: Mapping[str, Member], contents: Contents
) -> Iterator[Checked]:
    yield _jwk(change.member, jwk, members)
    acts = any(each.id == node and change.member in each.members for each in contents.nodes)
    facts = {"node": str(node), "member": change.member}
    if acts:
        yield Checked(NODE, "good", T("{node} acts for {member}."), facts)
    else:
        yield Checked(NODE, "bad", T("{node} does not act for {member}."), facts)


def _certificate(pem: str, node: str, contents: Contents, now: datetime, shown: str = "") -> Iterator[Checked]:
    try:
        certificate = load_pem_x509_certificate(pem.encode())
    except ValueError:
        yield Checked(CERTIFICATE, "bad", T("This is not a certificate in PEM."))
        return
    sha256 = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    owner = next((each.id for each in contents.nodes if sha256 in each.tls_sha256), None)
    if shown and shown != sha256:
        yield Checked(CERTIFICATE, "bad", T("The certificate is not the one that the node says it shows."))
    elif owner is not None and owner != node:
        yield Checked(CERTIFICATE, "bad", T("{node} shows this certificate already."), {"node": owner})
    else:
        yield _dates(certificate, now)


def _dates(certificate: Certificate, now: datetime) -> Checked:
    ends = certificate.not_valid_after_utc
    facts = {"day": ends.date().isoformat()}
    if not certificate.not_valid_before_utc <= now < ends:
        return Checked(CERTIFICATE, "bad", T("The certificate does not count today; it ends on {day}."), facts)
    if (ends - now).days < SOON_DAYS:
        return Checked(CERTIFICATE, "warn", T("The certificate ends soon, on {day}."), facts)
    return Checked(CERTIFICATE, "good", T("The certificate counts until {day}."), facts)


def _close(
    change: Change, wanted: Mapping[str, Any], members: Mapping[str, Member], contents: Contents, now: datetime
) -> Iterator[Checked]:
    day = date.fromisoformat(wanted["day"])
    facts: dict[str, object] = {"day": day.isoformat(), "member": change.member}
    if day > now.date():
        yield Checked(REQUEST, "warn", T("It acts on {day}: the second approval waits until then."), facts)
    else:
        yield Checked(REQUEST, "good", T("It acts at the second approval."), facts)
    successor = members.get(str(wanted.get("successor") or ""))
    if not wanted.get("successor"):
        yield Checked(SUCCESSOR, "warn", T("Nobody takes over: its agreements end."))
    elif successor is None or successor.state == "closed" or successor.id == change.member:
        yield Checked(SUCCESSOR, "bad", T("{member} can not take over."), {"member": str(wanted["successor"])})
    elif not any(successor.id in node.members for node in contents.nodes):
        yield Checked(SUCCESSOR, "warn", T("{member} takes over and has no node yet."), {"member": successor.id})
    else:
        yield Checked(SUCCESSOR, "good", T("{member} takes over."), {"member": successor.id})
    below = sum(each.parent == change.member and each.state == "active" for each in members.values())
    if below:
        yield Checked(BELOW, "warn", T("{count} members stand below it and stay open."), {"count": below})
