"""Urgent revocations beside the directory: signed notes about keys, certificates, members and agreements.

Promises: a note acts from the moment it names, whatever the directory still says; a note once taken stays taken, also
when the national node is away or shows fewer.  Pure, except ``revoke``, which writes the national node's table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, get_args

from lienthong.directory.contents import compact_json, read_moment
from lienthong.directory.document import Snapshot, index_contents
from lienthong.directory.models import Member, Node
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.trust.documents import open_document, sign_document
from lienthong.trust.keys import PrivateKey, key_id, public_from_jwk, public_jwk

FORMAT: Final = "1"
Kind = Literal["key", "certificate", "member", "agreement"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
NOTES_LIMIT_BYTES: Final = 8 * 1024 * 1024


class RevocationsMalformed(Problem):
    """The list of revocations can not be read, or names a kind that this program does not know."""

    kind = "revocations-malformed"
    status = 502
    side = "node"
    title = T("The revocations can not be read")


class RevocationsRollback(Problem):
    """A list of revocations was offered that lacks some which this node already knows."""

    kind = "revocations-rollback"
    status = 502
    side = "node"
    title = T("An older list of revocations was offered")


@dataclass(frozen=True, slots=True)
class Revocation:
    """One thing that counts no more from ``at`` on.

    ``subject`` is a key id, the SHA-256 of a certificate (hex), a member's id or an agreement's id.
    """

    kind: Kind
    subject: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Notes:
    """All revocations as the national node told them at ``issued``; ``directory`` is its version at that moment."""

    number: int
    directory: int
    issued: datetime
    revocations: tuple[Revocation, ...]

    def of_kind(self, kind: Kind) -> dict[str, Revocation]:
        """Subject to revocation."""
        return {each.subject: each for each in self.revocations if each.kind == kind}


def sign_notes(notes: Notes, key: PrivateKey) -> bytes:
    """The envelope that followers poll."""
    told = [
        {"kind": each.kind, "subject": each.subject, "at": each.at.isoformat(), "reason": each.reason}
        for each in notes.revocations
    ]
    head = {"format": FORMAT, "type": "revocations", "number": notes.number, "directory": notes.directory}
    document = compact_json(head | {"issued": notes.issued.isoformat(), "revocations": told})
    return sign_document(document, key, key_id(public_jwk(key)))


def open_notes(envelope: bytes, key: dict[str, str]) -> Notes:
    """The notes in an envelope signed by ``key`` (JWK).  Raises DocumentRefused, RevocationsMalformed."""
    known = public_from_jwk(key)
    document = open_document(envelope, lambda keyid: known if keyid == key_id(key) else None)
    try:
        body: Any = json.loads(document)  # JSON of any shape: a wrong one raises below
        if body["format"] != FORMAT or body["type"] != "revocations":
            raise ValueError("another format")
        return Notes(
            number=int(body["number"]),
            directory=int(body["directory"]),
            issued=read_moment(body["issued"]),
            revocations=tuple(
                Revocation(_kind(each["kind"]), str(each["subject"]), read_moment(each["at"]), str(each["reason"]))
                for each in body["revocations"]
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as malformed:
        raise RevocationsMalformed(T("The revocations are not a document this program can read.")) from malformed


def take_notes(known: Notes | None, offered: Notes) -> Notes:
    """``offered``, unless it forgets something.  Raises RevocationsRollback."""
    if known is not None and (
        offered.number < known.number
        or offered.issued < known.issued
        or not {(each.kind, each.subject) for each in known.revocations}
        <= {(each.kind, each.subject) for each in offered.revocations}
    ):
        raise RevocationsRollback(
            T("List {offered} of revocations was offered, but list {known} is already known."),
            mend=T("Ask the national node's operator; what was revoked stays revoked here."),
            offered=offered.number,
            known=known.number,
        )
    return offered


def revoked(snapshot: Snapshot, notes: Notes) -> Snapshot:
    """The directory as the notes leave it: keys end, certificates are shown by nobody, members are closed."""
    keys, members = notes.of_kind("key"), notes.of_kind("member")
    certificates = notes.of_kind("certificate")
    if not (keys or members or certificates):
        return snapshot
    contents = replace(
        snapshot.contents,
        members=tuple(_member(each, keys, members) for each in snapshot.contents.members),
        nodes=tuple(_node(each, certificates) for each in snapshot.contents.nodes),
    )
    return index_contents(
        contents,
        version=snapshot.version,
        issued=snapshot.issued,
        expires=snapshot.expires,
        digest=snapshot.digest,
    )


def _member(member: Member, keys: dict[str, Revocation], members: dict[str, Revocation]) -> Member:
    if any(key.keyid in keys for key in member.keys):
        member = replace(
            member,
            keys=tuple(
                replace(key, valid_to=min(key.valid_to, keys[key.keyid].at)) if key.keyid in keys else key
                for key in member.keys
            ),
        )
    note = members.get(member.id)
    if note is None or member.state == "closed":
        return member
    return replace(member, state="closed", closed_on=note.at.date())


def _node(node: Node, certificates: dict[str, Revocation]) -> Node:
    left = tuple(each for each in node.tls_sha256 if each not in certificates)
    return node if left == node.tls_sha256 else replace(node, tls_sha256=left)


def _kind(text: object) -> Kind:
    if text not in KINDS:
        raise ValueError("another kind of revocation")
    return text
