"""What another node publishes, read without trusting it: shapes are checked, signatures too, the rest is left out.

A node is believed only about itself: records whose own side it acts for, services and agreements of its own members,
a checkpoint signed by its own log.  An agreement counts when the signatures of both sides hold.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, TypeVar, cast, get_args

import orjson

from lienthong.access.models import Outcome, RecordSide, Way
from lienthong.access.queries import Entry
from lienthong.access.witness.policy import key_of_node
from lienthong.agreements.models import Agreement
from lienthong.agreements.reading import parse_agreement
from lienthong.agreements.signing import check_signature
from lienthong.catalog.models import Service, service_from_public
from lienthong.directory.document import Snapshot
from lienthong.directory.models import Node, class_of, member_of, read_member_id, read_service_id, read_system_id
from lienthong.errors import Problem
from lienthong.node.facts import Count, SignedAgreement
from lienthong.trust.note import Checkpoint, open_checkpoint

Known = TypeVar("Known")

MOST_SERVICES: Final = 1_000
MOST_AGREEMENTS: Final = 500
AHEAD: Final = timedelta(minutes=5)
"""A record may not come from further ahead: clocks differ, but nobody may pin a line to the top of a list."""

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_DIGEST: Final = re.compile(r"sha-256:[0-9a-f]{64}")
_SIDES: Final[tuple[RecordSide, ...]] = get_args(RecordSide)
_WAYS: Final[tuple[Way, ...]] = get_args(Way)
_OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


class NotAsPublished(ValueError):
    """The answer is not what a node publishes at that address."""


def read_uses(body: bytes, node: Node, now: datetime) -> tuple[tuple[Entry, ...], tuple[Count, ...]]:
    """The records ``node`` shows at ``/v1/uses``, newest first, and its counts.  Raises NotAsPublished."""
    answer = _object(body)
    entries = _readable(_entry, _entries_in(answer, "uses"))
    return (
        tuple(entry for entry in entries if _own_side(entry) in node.members and entry.at <= now + AHEAD),
        tuple(_readable(_count, _entries_in(answer, "counts"))),
    )


def read_services(body: bytes, node: Node) -> tuple[Service, ...]:
    """The services ``node`` shows at ``/v1/services``.  Raises NotAsPublished."""
    listed = islice(_entries_in(_object(body), "services"), MOST_SERVICES)
    return tuple(
        service
        for service in _readable(_service, listed)
        if service.member in node.members and service.sharing != "private"
    )


def read_agreements(
    body: bytes, node: Node, snapshot: Snapshot, known: Mapping[str, SignedAgreement]
) -> tuple[SignedAgreement, ...]:
    """The agreements of its members that ``node`` shows at ``/v1/agreements``, with good signatures.

    Raises NotAsPublished.

    ``known`` are agreements already checked, by the digest of their document: checking costs a millisecond each.
    """
    listed = islice(_entries_in(_object(body), "agreements"), MOST_AGREEMENTS)
    return tuple(_readable(lambda raw: _agreement(raw, node, snapshot, known), listed))


def read_head(note: bytes, node: Node) -> Checkpoint | None:
    """The checkpoint of a shard of the log; None when the log that the directory names did not sign it."""
    origin = note.partition(b"\n")[0].decode("utf-8", "replace")
    key = key_of_node(node, origin)
    try:
        return None if key is None else open_checkpoint(note, origin, key.public_key, key.name)
    except Problem:
        return None


def _readable(read: Callable[[Mapping[str, object]], Known], listed: Iterable[Mapping[str, object]]) -> list[Known]:
    """What ``read`` makes of each; those of another shape, or not to be believed, are left out."""
    found: list[Known] = []
    for raw in listed:
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError, Problem):
            found.append(read(raw))
    return found


def _service(raw: Mapping[str, object]) -> Service:
    service = service_from_public(raw)
    read_service_id(service.id)
    return service


def _entry(raw: Mapping[str, object]) -> Entry:
    consumer, provider = _text(raw["consumer"]), _text(raw["provider"])
    at = datetime.fromisoformat(_text(raw["at"]))
    if at.tzinfo is None:
        raise NotAsPublished("a time without a zone")
    return Entry(
        idx=_whole(raw["idx"]),
        hash=bytes.fromhex(_matching(_HASH, raw["hash"])),
        at=at,
        side=_one_of(raw["side"], _SIDES),
        exchange_id=_text(raw["exchange_id"]),
        consumer=read_system_id(consumer),
        provider=read_member_id(provider),
        resource=_text(raw["resource"]),
        way=_one_of(raw["way"], _WAYS),
        purpose=_optional_text(raw["purpose"]),
        agreement=_optional_text(raw["agreement"]),
        agreement_digest=None if raw["agreement_digest"] is None else _matching(_DIGEST, raw["agreement_digest"]),
        outcome=_one_of(raw["outcome"], _OUTCOMES),
        reason=_optional_text(raw["reason"]),
        rows=None if raw["rows"] is None else _whole(raw["rows"]),
        bytes=None if raw["bytes"] is None else _whole(raw["bytes"]),
    )


def _count(raw: Mapping[str, object]) -> Count:
    return (
        _one_of(raw["side"], _SIDES),
        _one_of(raw["way"], _WAYS),
        _one_of(raw["outcome"], _OUTCOMES),
        _whole(raw["count"]),
    )


def _one_of(value: object, allowed: tuple[Known, ...]) -> Known:
    for each in allowed:
        if value == each:
            return each
    raise NotAsPublished("not a known word")


def _own_side(entry: Entry) -> str:
    return entry.provider if entry.side == "provider" else member_of(entry.consumer)


def _agreement(
    raw: Mapping[str, object], node: Node, snapshot: Snapshot, known: Mapping[str, SignedAgreement]
) -> SignedAgreement:
    digest = _matching(_DIGEST, raw["digest"])
    provider_jws, consumer_jws = _jws(raw["provider_jws"]), raw["consumer_jws"]
    consumer_jws = None if consumer_jws is None else _jws(consumer_jws)
    before = known.get(digest)
    if before and (before.provider_jws, before.consumer_jws) == (provider_jws, consumer_jws):
        agreement = before.agreement
    else:
        agreement = _checked(_text(raw["document"], most=None).encode(), digest, provider_jws, consumer_jws, snapshot)
    terms, ended = agreement.terms, raw.get("ended_at")
    party = terms.provider in node.members or terms.consumer in node.members
    if not party and terms.consumer not in map(class_of, node.members):
        raise NotAsPublished("an agreement of others")
    return SignedAgreement(
        agreement=agreement,
        provider_jws=provider_jws,
        consumer_jws=consumer_jws,
        # Only a party can end it; one of many under a rule can not end it for the others.
        ended_at=datetime.fromisoformat(_text(ended)) if party and ended is not None else None,
        accepted=raw.get("accepted") is True,
    )


def _checked(
    document: bytes, digest: str, provider_jws: str, consumer_jws: str | None, snapshot: Snapshot
) -> Agreement:
    agreement = parse_agreement(document)
    if agreement.digest != digest or (consumer_jws is None) != (agreement.terms.mode == "rule"):
        raise NotAsPublished("not the document it is said to be")
    at = agreement.timestamp
    check_signature(snapshot, document, provider_jws, agreement.terms.provider, at)
    if consumer_jws is not None:
        check_signature(snapshot, document, consumer_jws, agreement.terms.consumer, at)
    return agreement


def _object(body: bytes) -> Mapping[str, object]:
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError as broken:
        raise NotAsPublished("not JSON") from broken
    if not isinstance(value, dict):
        raise NotAsPublished("not an object")
    return cast("dict[str, object]", value)


def _entries_in(answer: Mapping[str, object], name: str) -> Iterator[Mapping[str, object]]:
    listed = answer.get(name)
    if not isinstance(listed, list):
        raise NotAsPublished(f"no list {name}")
    for raw in cast("list[object]", listed):
        if isinstance(raw, dict):
            yield cast("dict[str, object]", raw)


def _text(value: object, *, most: int | None = 300) -> str:
    if not isinstance(value, str) or (most is not None and (len(value) > most or not value.isprintable())):
        raise NotAsPublished("not a plain text")
    return value


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _jws(value: object) -> str:
    return _text(value, most=4_000)


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise NotAsPublished("not a count")
    return value


def _matching(shape: re.Pattern[str], value: object) -> str:
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise NotAsPublished("not a digest")
    return value
