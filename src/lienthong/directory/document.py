"""The directory as one document: written by the national node, read by every other into an indexed snapshot.

A snapshot is a value: it answers from memory and never changes.  Keys it does not know are ignored, so that a newer
national node may say more; another ``format`` is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from lienthong.directory.contents import Contents, compact_json, read_contents, read_moment, write_contents
from lienthong.directory.models import Member, MemberKey, Node, Purpose, Rule, System, WitnessPolicy, member_of
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.trust.keys import PublicKey, UnusableKey, public_from_jwk

FORMAT: Final = "1"


class DirectoryMalformed(Problem):
    """The document is not a directory this program can read."""

    kind = "directory-malformed"
    status = 502
    side = "node"
    title = T("The directory can not be read")


class UnknownMember(Problem):
    """No member of the directory has this id."""

    kind = "unknown-member"
    status = 404
    side = "caller"
    title = T("Unknown member")


class MemberClosed(Problem):
    """The member was merged or dissolved; ``successor`` says who took over, when somebody did."""

    kind = "member-closed"
    status = 410
    side = "caller"
    title = T("The member is closed")


class UnknownSystem(Problem):
    """No system of the directory has this id."""

    kind = "unknown-system"
    status = 404
    side = "caller"
    title = T("Unknown system")


class UnknownPurpose(Problem):
    """No purpose with this code is registered, or not for this member, or not on this day."""

    kind = "unknown-purpose"
    status = 403
    side = "caller"
    title = T("The purpose is not registered")


class MemberWithoutNode(Problem):
    """The member is known, but no node acts for it."""

    kind = "member-without-node"
    status = 502
    side = "provider"
    title = T("No node acts for the member")


def write_directory(contents: Contents, *, version: int, issued: datetime, expires: datetime) -> bytes:
    """The document of one version, ready to be signed."""
    head = {"format": FORMAT, "version": version, "issued": issued.isoformat(), "expires": expires.isoformat()}
    return compact_json(head | write_contents(contents))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of the directory, indexed.  Make it with ``parse_directory``."""

    version: int
    issued: datetime
    expires: datetime
    digest: str
    """SHA-256 (hex) of the document."""
    contents: Contents
    _members: Mapping[str, Member]
    _systems: Mapping[str, System]
    _nodes: Mapping[str, Node]
    _nodes_of: Mapping[str, tuple[Node, ...]]
    _node_by_certificate: Mapping[str, Node]
    _keys: Mapping[str, tuple[MemberKey, Member]]
    _purposes: Mapping[str, Purpose]
    _public_keys: dict[str, PublicKey]
    """Keys already turned from JWK into points; a cache of values."""

    def member(self, member_id: str) -> Member | None:
        """The member with this id, open or closed."""
        return self._members.get(member_id)

    def active_member(self, member_id: str) -> Member:
        """The open member with this id.  Raises UnknownMember, MemberClosed."""
        member = self._members.get(member_id)
        if member is None:
            raise UnknownMember(
                T("No member has the id {member}."), mend=T("Look the id up in the directory."), member=member_id
            )
        if member.state == "closed":
            raise _closed(member)
        return member

    def heir(self, member_id: str) -> Member:
        """The open member that stands for ``member_id`` today: itself, or the last of its successors.

        Raises UnknownMember, and MemberClosed when nobody took over.
        """
        seen: set[str] = set()
        while (member := self._members.get(member_id)) is not None and member.state == "closed":
            if member.successor is None or member_id in seen:
                raise _closed(member)
            seen.add(member_id)
            member_id = member.successor
        return self.active_member(member_id)

    def system(self, system_id: str) -> System | None:
        """The system with this id."""
        return self._systems.get(system_id)

    def active_system(self, system_id: str) -> System:
        """The system with this id, of an open member.  Raises UnknownMember, MemberClosed, UnknownSystem."""
        self.active_member(member_of(system_id))
        system = self._systems.get(system_id)
        if system is None:
            raise UnknownSystem(
                T("No system has the id {system}."), mend=T("Have the system registered."), system=system_id
            )
        return system

    def node(self, node_id: str) -> Node | None:
        """The node with this id."""
        return self._nodes.get(node_id)

    def node_of(self, member_id: str) -> Node | None:
        """The first of the nodes that act for the member."""
        nodes = self._nodes_of.get(member_id)
        return nodes[0] if nodes else None

    def nodes_of(self, member_id: str) -> tuple[Node, ...]:
        """All nodes that act for the member, in the order of their ids: a second one stands in for the first."""
        return self._nodes_of.get(member_id, ())

    def serving_node(self, member_id: str) -> Node:
        """The node that acts for an open member.  Raises UnknownMember, MemberClosed, MemberWithoutNode."""
        self.active_member(member_id)
        node = self.node_of(member_id)
        if node is None:
            raise MemberWithoutNode(T("No node acts for {member}."), member=member_id)
        return node

    def node_by_certificate(self, sha256: str) -> Node | None:
        """The node that may show the TLS certificate with this SHA-256 (DER, lower-case hex)."""
        return self._node_by_certificate.get(sha256)

    def key(self, keyid: str) -> tuple[MemberKey, Member] | None:
        """The key with this thumbprint and the member it signs for, valid or not."""
        return self._keys.get(keyid)

    def signing_key(self, keyid: str, at: datetime) -> PublicKey | None:
        """The public key with which its open member might sign at ``at``; None for any other."""
        found = self._keys.get(keyid)
        if found is None or found[1].state == "closed" or not found[0].valid_at(at):
            return None
        return self.public_key(keyid)

    def public_key(self, keyid: str) -> PublicKey | None:
        """The public key with this thumbprint, whenever it was valid: what old signatures are checked with."""
        known = self._public_keys.get(keyid)
        if known is None and (found := self._keys.get(keyid)) is not None:
            try:
                known = public_from_jwk(found[0].jwk)
            except UnusableKey:
                return None
            self._public_keys[keyid] = known
        return known

    def purpose(self, code: str) -> Purpose | None:
        """The purpose with this code, valid or not."""
        return self._purposes.get(code)

    def purpose_on(self, code: str, member_id: str, day: date) -> Purpose:
        """The purpose ``member_id`` may name on ``day``: its own, a common one, or a closed member's it took over.

        Raises UnknownPurpose.
        """
        purpose = self._purposes.get(code)
        if purpose is None or not self._may_name(purpose, member_id) or not purpose.valid_on(day):
            raise UnknownPurpose(
                T("{member} has no registered purpose {purpose} on {day}."),
                mend=T("Register the task with its legal basis, or name one that is registered."),
                member=member_id,
                purpose=code,
                day=day.isoformat(),
            )
        return purpose

    def _may_name(self, purpose: Purpose, member_id: str) -> bool:
        if purpose.named_by(member_id):
            return True
        owner = self._members.get(purpose.member)
        if owner is None or owner.state != "closed":
            return False
        try:
            return self.heir(owner.id).id == member_id
        except (UnknownMember, MemberClosed):
            return False

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The published agreements by rule."""
        return self.contents.rules

    @property
    def witness_policy(self) -> WitnessPolicy:
        """How many of which nodes must have cosigned a checkpoint."""
        return self.contents.witness_policy

    def age(self, now: datetime) -> timedelta:
        """How long ago this version was issued."""
        return now - self.issued

    def expired(self, now: datetime) -> bool:
        """Whether new agreements and members must wait for a newer version."""
        return now >= self.expires

    def as_dict(self) -> dict[str, object]:
        """The document's JSON values, for the API and the pages."""
        head = {"format": FORMAT, "version": self.version}
        times = {"issued": self.issued.isoformat(), "expires": self.expires.isoformat()}
        return head | times | write_contents(self.contents)


def parse_directory(document: bytes) -> Snapshot:
    """The snapshot in a document whose signature was verified.  Raises DirectoryMalformed, IdMalformed."""
    try:
        body: Any = json.loads(document)  # JSON values of any shape: a wrong one raises below
        if body["format"] != FORMAT:
            raise DirectoryMalformed(T("The directory has a format this program does not know."))
        contents = read_contents(body)
        version, issued, expires = int(body["version"]), read_moment(body["issued"]), read_moment(body["expires"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as malformed:
        raise DirectoryMalformed(T("The directory is not a document this program can read.")) from malformed
    return index_contents(
        contents, version=version, issued=issued, expires=expires, digest=hashlib.sha256(document).hexdigest()
    )


def index_contents(contents: Contents, *, version: int, issued: datetime, expires: datetime, digest: str) -> Snapshot:
    """The snapshot of ``contents``."""
    nodes: dict[str, Node] = {node.id: node for node in contents.nodes}
    return Snapshot(
        version=version,
        issued=issued,
        expires=expires,
        digest=digest,
        contents=contents,
        _members={member.id: member for member in contents.members},
        _systems={system.id: system for system in contents.systems},
        _nodes=nodes,
        _nodes_of=_by_member(contents.nodes),
        _node_by_certificate={hash_: node for node in contents.nodes for hash_ in node.tls_sha256},
        _keys={key.keyid: (key, member) for member in contents.members for key in member.keys},
        _purposes={purpose.code: purpose for purpose in contents.purposes},
        _public_keys={},
    )


def _by_member(nodes: tuple[Node, ...]) -> dict[str, tuple[Node, ...]]:
    found: dict[str, tuple[Node, ...]] = {}
    for node in sorted(nodes, key=lambda each: each.id):
        for member in node.members:
            found[member] = (*found.get(member, ()), node)
    return found


def _closed(member: Member) -> MemberClosed:
    facts = {"member": member.id, "successor": member.successor or ""}
    if member.successor is None:
        return MemberClosed(T("{member} is closed and has no successor."), **facts)
    return MemberClosed(
        T("{member} is closed; its successor is {successor}."), mend=T("Ask its successor, {successor}."), **facts
    )
