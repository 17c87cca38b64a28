"""The life of a change to the directory: a signed request, approved by two different operators, then active.

Pure.  Promises: nobody approves twice, nobody approves what another document says, and what an approval says is signed
over the exact bytes of the request.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, get_args

from lienthong.directory.contents import compact_json, read_moment
from lienthong.directory.models import MemberId, read_member_id
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.trust.documents import DocumentRefused, open_document, sign_document
from lienthong.trust.keys import PrivateKey, UnusableKey, key_id, public_from_jwk, public_jwk

FORMAT: Final = "1"
REASON_LIMIT: Final = 500
ChangeKind = Literal["join", "key", "certificate", "close"]
"""A new node with its members' keys; a next key; a node's next TLS certificate; an end with or without a successor."""
KINDS: Final[tuple[ChangeKind, ...]] = get_args(ChangeKind)
State = Literal["requested", "approved-once", "active", "refused"]
Deed = Literal["approve", "refuse"]

NEXT: Final[Mapping[tuple[State, Deed], State]] = {
    ("requested", "approve"): "approved-once",
    ("requested", "refuse"): "refused",
    ("approved-once", "approve"): "active",
    ("approved-once", "refuse"): "refused",
}
"""Every step there is; what is active or refused stays so."""


class ChangeRefused(Problem):
    """The request or the approval can not be taken: malformed, signed by another, or already decided."""

    kind = "change-refused"
    status = 422
    side = "caller"
    title = T("The change to the directory can not be taken")


class SameOperator(Problem):
    """Two different operators must approve; this one has already done so."""

    kind = "same-operator"
    status = 409
    side = "caller"
    title = T("Two different operators must approve")


@dataclass(frozen=True, slots=True)
class Change:
    """One change asked for.  ``document`` is the request's envelope, as its applicant signed it."""

    id: str
    """SHA-256 (hex) of the envelope."""
    kind: ChangeKind
    member: MemberId
    document: bytes
    state: State
    changed_at: datetime
    approved_by: tuple[str, ...] = ()
    """Key ids of the operators who approved."""
    reason: str = ""
    """Why an operator refused it; empty while nobody did."""

    def public(self) -> dict[str, object]:
        """What members may see coming: who, what, how far; not the document."""
        told: dict[str, object] = {
            "id": self.id,
            "kind": self.kind,
            "member": self.member,
            "state": self.state,
            "changed_at": self.changed_at.isoformat(),
            "approvals": len(self.approved_by),
        }
        told |= acts(self.kind, _wanted(self.document))
        return told | {"reason": self.reason} if self.reason else told

    def concerns(self) -> tuple[str, ...]:
        """The members beside the applicant that it touches: those whose keys a node brings, and a successor."""
        wanted = _wanted(self.document)
        identity = wanted.get("identity")
        brought: Any = identity.get("members") if isinstance(identity, dict) else ()  # Any: JSON as it came
        named = [*(brought if isinstance(brought, dict) else ()), wanted.get("successor")]
        return tuple(sorted({each for each in named if isinstance(each, str) and each and each != self.member}))


def acts(kind: ChangeKind, wanted: Mapping[str, Any]) -> dict[str, object]:  # Any: JSON as it came
    """What a member must see of a change: a closing's first day and who takes over, a joining or changed node."""
    identity = wanted.get("identity")
    node = identity.get("node") if kind == "join" and isinstance(identity, dict) else wanted.get("node")
    told = {"node": node} if kind != "close" else {"day": wanted.get("day"), "successor": wanted.get("successor")}
    return {name: value for name, value in told.items() if isinstance(value, str) and value}


def request_change(
    kind: ChangeKind, member: MemberId, wanted: Mapping[str, object], key: PrivateKey, now: datetime
) -> bytes:
    """The request as the applicant signs it: ``wanted`` holds the node's identity, the next key, or the successor."""
    jwk = public_jwk(key)
    head = {"format": FORMAT, "type": "directory-change", "kind": kind, "member": member, "jwk": jwk}
    return sign_document(compact_json(head | {"at": now.isoformat(), "wanted": dict(wanted)}), key, key_id(jwk))


def read_request(envelope: bytes, now: datetime) -> tuple[Change, dict[str, Any]]:  # Any: JSON as each kind wants it
    """The change in a request, and what it wants; proven is that the applicant holds the key it names.

    Raises ChangeRefused, IdMalformed.
    """
    try:
        inside = json.loads(_payload(envelope))
        jwk = {str(name): str(value) for name, value in inside["jwk"].items()}
        known = public_from_jwk(jwk)
        open_document(envelope, lambda keyid: known if keyid == key_id(jwk) else None)
        if inside["format"] != FORMAT or inside["type"] != "directory-change" or inside["kind"] not in KINDS:
            raise ValueError("another format")
        read_moment(inside["at"])
        member = read_member_id(inside["member"])
        wanted: dict[str, Any] = dict(inside["wanted"])
    except (KeyError, TypeError, ValueError, AttributeError, DocumentRefused, UnusableKey) as malformed:
        raise ChangeRefused(T("The file is no request that its own key has signed.")) from malformed
    change_id = hashlib.sha256(envelope).hexdigest()
    return Change(change_id, inside["kind"], member, envelope, "requested", now), wanted


def _wanted(document: bytes) -> dict[str, Any]:
    """What a request kept here wants; it was read and its signature checked before it was kept."""
    try:
        wanted: Any = json.loads(_payload(document)).get("wanted")
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
    return dict(wanted) if isinstance(wanted, dict) else {}


def request_signer(envelope: bytes) -> str:
    """Key id of the key that a request, already read, names and is signed by."""
    return key_id(json.loads(_payload(envelope))["jwk"])


def approve(change_id: str, key: PrivateKey, now: datetime) -> bytes:
    """An operator's approval of the request with this id."""
    told = {"format": FORMAT, "type": "directory-approval", "change": change_id, "at": now.isoformat()}
    return sign_document(compact_json(told), key, key_id(public_jwk(key)))


def take_approval(change: Change, approval: bytes, operators: Mapping[str, Mapping[str, str]], now: datetime) -> Change:
    """The change after one more approval.  ``operators`` gives the public key (JWK) by key id.

    Raises ChangeRefused, SameOperator.
    """
    operator, _ = _told(approval, "directory-approval", change.id, operators)
    if operator in change.approved_by:
        raise SameOperator(T("This operator has approved already."), mend=T("Have another operator approve."))
    return replace(_step(change, "approve", now), approved_by=(*change.approved_by, operator))


def refuse(change_id: str, reason: str, key: PrivateKey, now: datetime) -> bytes:
    """An operator's refusal of the request with this id, and why; members see the reason."""
    told = {"format": FORMAT, "type": "directory-refusal", "change": change_id, "reason": reason, "at": now.isoformat()}
    return sign_document(compact_json(told), key, key_id(public_jwk(key)))


def take_refusal(
    change: Change, refusal: bytes, operators: Mapping[str, Mapping[str, str]], now: datetime
) -> tuple[Change, str]:
    """The change, turned down, and the operator's key id; one operator suffices.  Raises ChangeRefused."""
    operator, told = _told(refusal, "directory-refusal", change.id, operators)
    reason = str(told.get("reason", "")).strip()
    if not 0 < len(reason) <= REASON_LIMIT:
        raise ChangeRefused(T("A refusal says why, in at most {limit} characters."), limit=REASON_LIMIT)
    return replace(_step(change, "refuse", now), reason=reason), operator


def _told(
    envelope: bytes, kind: str, change: str, operators: Mapping[str, Mapping[str, str]]
) -> tuple[str, Mapping[str, Any]]:  # Any: JSON as an operator wrote it
    """Who signed what is told about ``change``, and what it says.  Raises ChangeRefused."""
    signed: list[str] = []

    def resolve(keyid: str) -> Any:  # Any: the union of public keys, or None for a stranger's
        if keyid not in operators:
            return None
        signed.append(keyid)
        return public_from_jwk(operators[keyid])

    try:
        told: Any = json.loads(open_document(envelope, resolve))
    except (DocumentRefused, ValueError) as refused:
        raise ChangeRefused(T("The approval or refusal is not signed by an operator of the directory.")) from refused
    expected = {"format": FORMAT, "type": kind, "change": change}
    if not isinstance(told, dict) or expected.items() - told.items():
        raise ChangeRefused(T("The approval or refusal is about another request."))
    return signed[0], told


def _step(change: Change, deed: Deed, now: datetime) -> Change:
    try:
        return replace(change, state=NEXT[change.state, deed], changed_at=now)
    except KeyError:
        raise ChangeRefused(T("The change is already {state}."), state=change.state) from None


def _payload(envelope: bytes) -> bytes:
    """The payload before its key is known: the request names the key that must have signed it."""
    return base64.b64decode(json.loads(envelope)["payload"], validate=True)
