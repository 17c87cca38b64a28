"""All the directory says as values and as JSON, whatever version says it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from lienthong.directory.models import (
    Contact,
    Member,
    MemberId,
    MemberKey,
    Node,
    Purpose,
    Rule,
    System,
    WitnessPolicy,
    read_member_id,
    read_node_id,
    read_system_id,
)


@dataclass(frozen=True, slots=True)
class Contents:
    """All the directory says, whatever its version; each part in the order of its ids."""

    members: tuple[Member, ...] = ()
    systems: tuple[System, ...] = ()
    nodes: tuple[Node, ...] = ()
    purposes: tuple[Purpose, ...] = ()
    rules: tuple[Rule, ...] = ()
    authorities: tuple[str, ...] = ()
    """Certificates in PEM of the authorities whose TLS chains are accepted."""
    witness_policy: WitnessPolicy = field(default_factory=WitnessPolicy)


def write_contents(contents: Contents) -> dict[str, object]:
    """``contents`` as JSON values."""
    return {
        "members": [_member_json(member) for member in contents.members],
        "systems": [_plain(system) for system in contents.systems],
        "nodes": [_plain(node) for node in contents.nodes],
        "purposes": [_plain(purpose) for purpose in contents.purposes],
        "rules": [
            {"provider": rule.provider, "document": rule.document.decode(), "provider_jws": rule.provider_jws}
            for rule in contents.rules
        ],
        "authorities": list(contents.authorities),
        "witness_policy": {
            "threshold": contents.witness_policy.threshold,
            "witnesses": list(contents.witness_policy.witnesses),
        },
    }


def contents_digest(contents: Contents) -> str:
    """SHA-256 (hex) of what the directory says, without its version and times."""
    return hashlib.sha256(compact_json(write_contents(contents))).hexdigest()


def read_contents(body: Any) -> Contents:  # Any: JSON of any shape, a wrong one raises
    """What ``write_contents`` wrote.  Raises KeyError, TypeError, ValueError, AttributeError, IdMalformed."""
    return Contents(
        members=tuple(_read_member(each) for each in body["members"]),
        systems=tuple(_read_system(each) for each in body["systems"]),
        nodes=tuple(_read_node(each) for each in body["nodes"]),
        purposes=tuple(_read_purpose(each) for each in body["purposes"]),
        rules=tuple(
            Rule(read_member_id(each["provider"]), each["document"].encode(), str(each["provider_jws"]))
            for each in body["rules"]
        ),
        authorities=tuple(str(each) for each in body["authorities"]),
        witness_policy=_read_policy(body.get("witness_policy")),
    )


def read_moment(text: str) -> datetime:
    """An aware time in UTC.  Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)


def compact_json(value: object) -> bytes:
    """``value`` as UTF-8 JSON without spaces; not canonical: the bytes themselves are what is signed."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _plain(value: System | Node | Purpose) -> dict[str, object]:
    """The fields of a value; dates as text, tuples as lists."""
    return {name: _plain_field(getattr(value, name)) for name in value.__slots__}


def _plain_field(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _member_json(member: Member) -> dict[str, object]:
    fields = {name: _plain_field(getattr(member, name)) for name in member.__slots__}
    fields["contact"] = {name: getattr(member.contact, name) for name in member.contact.__slots__}
    fields["keys"] = [
        {
            "keyid": key.keyid,
            "jwk": dict(key.jwk),
            "node": key.node,
            "valid_from": key.valid_from.isoformat(),
            "valid_to": key.valid_to.isoformat(),
        }
        for key in member.keys
    ]
    return fields


def _read_member(body: Any) -> Member:  # Any: as above
    contact = body["contact"]
    return Member(
        id=read_member_id(body["id"]),
        name_vi=body["name_vi"],
        name_en=body["name_en"],
        kind=body["kind"],
        block=body["block"],
        parent=_optional_member(body["parent"]),
        state=body["state"],
        successor=_optional_member(body["successor"]),
        verified=body["verified"] is True,
        security_level=body["security_level"],
        contact=Contact(contact["name"], contact["position"], contact["phone"], contact["email"]),
        keys=tuple(_read_key(each) for each in body["keys"]),
        closed_on=_day(body["closed_on"]),
    )


def _optional_member(text: str | None) -> MemberId | None:
    return None if text is None else read_member_id(text)


def _read_key(body: Any) -> MemberKey:  # Any: as above
    return MemberKey(
        keyid=body["keyid"],
        jwk={str(name): str(value) for name, value in body["jwk"].items()},
        node=read_node_id(body["node"]),
        valid_from=read_moment(body["valid_from"]),
        valid_to=read_moment(body["valid_to"]),
    )


def _read_system(body: Any) -> System:  # Any: as above
    return System(read_system_id(body["id"]), body["name_vi"], body["name_en"], body["default_purpose"])


def _read_node(body: Any) -> Node:  # Any: as above
    return Node(
        id=read_node_id(body["id"]),
        operator=read_member_id(body["operator"]),
        members=tuple(read_member_id(each) for each in body["members"]),
        peer_url=body["peer_url"],
        public_url=body["public_url"],
        tls_sha256=tuple(str(each) for each in body["tls_sha256"]),
        log_origin=body["log_origin"],
        log_key=body["log_key"],
        platform=body["platform"],
        runs_on=body["runs_on"],
        security_level=body["security_level"],
        capabilities=tuple(str(each) for each in body["capabilities"]),
        witness_key=str(body.get("witness_key", "")),
    )


def _read_policy(body: Any) -> WitnessPolicy:  # Any: as above; a directory from before witnesses asks for none
    if body is None:
        return WitnessPolicy()
    return WitnessPolicy(int(body["threshold"]), tuple(read_node_id(each) for each in body["witnesses"]))


def _read_purpose(body: Any) -> Purpose:  # Any: as above
    return Purpose(
        code=body["code"],
        member=read_member_id(body["member"]),
        title_vi=body["title_vi"],
        title_en=body["title_en"],
        legal_basis=body["legal_basis"],
        valid_from=date.fromisoformat(body["valid_from"]),
        valid_to=_day(body["valid_to"]),
        dpv=body["dpv"],
        common=body["common"] is True,
    )
