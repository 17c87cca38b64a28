"""What changed from one version of the directory to the next, one difference a line, for people and programs.

Promise: two versions without a difference here say the same about members, systems, nodes, keys, purposes, rules,
authorities and witnesses; the order is that of the document, so that it is the same for everybody who compares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, cast

from lienthong.directory.contents import Contents
from lienthong.directory.models import Contact, Member, MemberKey, Node, Purpose, System, member_of

What = Literal[
    "member-joined", "member-changed", "member-closed", "member-reopened", "member-left", "key-added", "key-ended",
    "key-changed", "key-left", "system-added", "system-changed", "system-left", "node-joined", "node-changed",
    "node-closed", "certificate-changed", "host-changed", "purpose-added", "purpose-changed", "purpose-left",
    "rule-added", "rule-left", "authority-added", "authority-left", "witnesses-changed",
]  # fmt: skip
"""What can happen from one version to the next; a word of the API, never renamed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the later version says and the earlier does not."""

    what: What
    about: str
    """The id of the member, system, node, purpose or key; the SHA-256 (hex) of a rule's or an authority's bytes."""
    member: str = ""
    """Whose it is, as far as it is somebody's."""
    before: str = ""
    after: str = ""
    """What stood there and what stands there now; of several changed fields ``name: value`` by ``; ``."""

    def public(self) -> dict[str, str]:
        """As JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


Value = TypeVar("Value")
_MEMBER_FIELDS: Final = ("name_vi", "name_en", "kind", "block", "parent", "verified", "security_level", "contact")
_NODE_FIELDS: Final = ("operator", "peer_url", "public_url", "log_origin", "log_key", "platform", "runs_on",
                       "security_level", "capabilities", "witness_key")  # fmt: skip


def differences(before: Contents, after: Contents) -> tuple[Difference, ...]:
    """What changed from ``before`` to ``after``."""
    return (
        *_members(before, after),
        *_systems(before, after),
        *_nodes(before, after),
        *_purposes(before, after),
        *_rules(before, after),
        *_authorities(before, after),
        *_witnesses(before, after),
    )


def _members(before: Contents, after: Contents) -> Iterator[Difference]:
    for id_, old, new in _pairs({each.id: each for each in before.members}, {each.id: each for each in after.members}):
        if old is None and new is not None:
            yield Difference("member-joined", new.id, new.id, after=new.name_vi)
        elif new is None and old is not None:
            yield Difference("member-left", old.id, old.id, before=old.name_vi)
        elif old is not None and new is not None:
            yield from _member(old, new)
        yield from _keys(old.keys if old else (), new.keys if new else (), id_)


def _member(old: Member, new: Member) -> Iterator[Difference]:
    if old.state != new.state:
        what: What = "member-closed" if new.state == "closed" else "member-reopened"
        yield Difference(what, new.id, new.id, old.successor or "", new.successor or "")
    elif (old.successor, old.closed_on) != (new.successor, new.closed_on):
        yield Difference("member-changed", new.id, new.id, old.successor or "", new.successor or "")
    yield from _fields("member-changed", new.id, new.id, old, new, _MEMBER_FIELDS)


def _keys(old: Iterable[MemberKey], new: Iterable[MemberKey], member: str) -> Iterator[Difference]:
    for keyid, had, has in _pairs({each.keyid: each for each in old}, {each.keyid: each for each in new}):
        if had is None and has is not None:
            yield Difference("key-added", keyid, member, after=_span(has))
        elif has is None and had is not None:
            yield Difference("key-left", keyid, member, before=_span(had))
        elif had is not None and has is not None and had != has:
            shorter = (had.node, had.valid_from, had.jwk) == (has.node, has.valid_from, has.jwk)
            ended = shorter and has.valid_to < had.valid_to
            yield Difference("key-ended" if ended else "key-changed", keyid, member, _span(had), _span(has))


def _span(key: MemberKey) -> str:
    return f"{key.node}: {key.valid_from.isoformat()} – {key.valid_to.isoformat()}"


def _systems(before: Contents, after: Contents) -> Iterator[Difference]:
    for id_, old, new in _pairs({each.id: each for each in before.systems}, {each.id: each for each in after.systems}):
        if old is None and new is not None:
            yield Difference("system-added", id_, member_of(id_), after=new.name_vi)
        elif new is None and old is not None:
            yield Difference("system-left", id_, member_of(id_), before=old.name_vi)
        elif old is not None and new is not None:
            yield from _fields("system-changed", id_, member_of(id_), old, new, System.__slots__)


def _nodes(before: Contents, after: Contents) -> Iterator[Difference]:
    for id_, old, new in _pairs({each.id: each for each in before.nodes}, {each.id: each for each in after.nodes}):
        if old is None and new is not None:
            yield Difference("node-joined", id_, new.operator, after=", ".join(new.members))
        elif new is None and old is not None:
            yield Difference("node-closed", id_, old.operator, before=", ".join(old.members))
        elif old is not None and new is not None:
            yield from _node(old, new)


def _node(old: Node, new: Node) -> Iterator[Difference]:
    if old.members != new.members:
        yield Difference("host-changed", new.id, new.operator, ", ".join(old.members), ", ".join(new.members))
    if old.tls_sha256 != new.tls_sha256:
        was, now = ", ".join(old.tls_sha256), ", ".join(new.tls_sha256)
        yield Difference("certificate-changed", new.id, new.operator, was, now)
    yield from _fields("node-changed", new.id, new.operator, old, new, _NODE_FIELDS)


def _purposes(before: Contents, after: Contents) -> Iterator[Difference]:
    earlier, later = {each.code: each for each in before.purposes}, {each.code: each for each in after.purposes}
    for code, old, new in _pairs(earlier, later):
        if old is None and new is not None:
            yield Difference("purpose-added", code, new.member, after=new.title_vi)
        elif new is None and old is not None:
            yield Difference("purpose-left", code, old.member, before=old.title_vi)
        elif old is not None and new is not None:
            yield from _fields("purpose-changed", code, new.member, old, new, Purpose.__slots__)


def _rules(before: Contents, after: Contents) -> Iterator[Difference]:
    earlier = {(each.provider, each.document, each.provider_jws): each for each in before.rules}
    later = {(each.provider, each.document, each.provider_jws): each for each in after.rules}
    for (provider, document, _), old, new in _pairs(earlier, later):
        if (old is None) != (new is None):
            what: What = "rule-added" if old is None else "rule-left"
            yield Difference(what, hashlib.sha256(document).hexdigest(), provider)


def _authorities(before: Contents, after: Contents) -> Iterator[Difference]:
    for certificate, old, new in _pairs(
        {each: each for each in before.authorities}, {each: each for each in after.authorities}
    ):
        if (old is None) != (new is None):
            what: What = "authority-added" if old is None else "authority-left"
            yield Difference(what, hashlib.sha256(certificate.encode()).hexdigest())


def _witnesses(before: Contents, after: Contents) -> Iterator[Difference]:
    old, new = before.witness_policy, after.witness_policy
    if old != new:
        was, now = (f"{each.threshold}: {', '.join(each.witnesses)}" for each in (old, new))
        yield Difference("witnesses-changed", "witnesses", before=was, after=now)


def _fields(
    what: What, about: str, member: str, old: object, new: object, names: Iterable[str]
) -> Iterator[Difference]:
    """One difference for all fields that changed; none when none did."""
    changed = [name for name in names if getattr(old, name) != getattr(new, name)]
    if changed:
        was, now = ("; ".join(f"{name}: {_told(getattr(each, name))}" for name in changed) for each in (old, new))
        yield Difference(what, about, member, was, now)


def _told(value: object) -> str:
    if isinstance(value, Contact):
        return ", ".join((value.name, value.position, value.phone, value.email))
    if isinstance(value, tuple):
        return ", ".join(map(str, cast(tuple[object, ...], value)))  # printed, whatever they are
    return "" if value is None else str(value)


Key = TypeVar("Key")


def _pairs(old: Mapping[Key, Value], new: Mapping[Key, Value]) -> Iterator[tuple[Key, Value | None, Value | None]]:
    """Every key of either, those of ``old`` first, with what both hold under it."""
    for key in (*old, *(key for key in new if key not in old)):
        yield key, old.get(key), new.get(key)
