"""One agreement and one record as their own pages show them, beside the exact bytes.  Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, cast

import orjson

from lienthong.access.log import LogFiles
from lienthong.access.queries import Entry
from lienthong.access.shards import shard_name
from lienthong.agreements.models import Permission, RowCondition
from lienthong.node.facts import SignedAgreement
from lienthong.node.gathered import Gathered, plain_digest
from lienthong.node.lines import agreement_line, record_link, use_line
from lienthong.portal.models import (
    AgreementPage,
    CheckpointView,
    FieldLine,
    FilterLine,
    Name,
    PermissionView,
    PurposeLine,
    RecordPage,
    SignatureLine,
)
from lienthong.trust.keys import from_base64url

NOTHING: Final = "—"
Standing = Literal["current", "replaced", "not-yet"]
"""Where a stored document stands among the versions of its agreement."""


def agreement_page(gathered: Gathered, signed: SignedAgreement, standing: Standing) -> AgreementPage:
    """The agreement in words."""
    agreement, terms = signed.agreement, signed.agreement.terms
    ended = standing == "replaced" or signed.over(gathered.now)
    return AgreementPage(
        line=agreement_line(gathered, signed),
        state="TERMINATED" if ended else "AGREED" if standing == "not-yet" else "FINALIZED",
        legal_basis=terms.legal_basis,
        permissions=tuple(permission_view(gathered, terms.target, permission) for permission in terms.permissions),
        obligations=tuple((obligation.kind, obligation.period) for obligation in terms.obligations),
        prohibitions=tuple(dict.fromkeys(prohibition.action for prohibition in terms.prohibitions)),
        clauses=terms.clauses,
        signatures=(
            _signature(gathered, terms.provider, "provider", signed.provider_jws),
            _signature(
                gathered,
                terms.consumer,
                "consumer",
                signed.consumer_jws,
                by_rule=terms.mode == "rule" and signed.accepted,
            ),
        ),
        document=agreement.document.decode(),
        previous_digest=plain_digest(agreement.predecessor) if agreement.predecessor else None,
    )


def permission_view(gathered: Gathered, target: str, permission: Permission) -> PermissionView:
    """One permission in words: every field of the published schema, granted or not."""
    return PermissionView(
        ways=permission.ways,
        systems=tuple(permission.systems),
        purposes=tuple(_purpose(gathered, code, permission.starts) for code in permission.purposes),
        ground=permission.ground,
        fields=_fields(gathered, target, permission),
        row_filter=tuple(_filter(condition) for condition in permission.row_filter),
        quota_per_day=permission.quota,
        min_group=permission.min_group,
        valid_from=permission.starts,
        valid_to=permission.ends,
    )


def _fields(gathered: Gathered, target: str, permission: Permission) -> tuple[FieldLine, ...]:
    """The published schema with what is given of it, then what is granted but no longer published.

    Where no node has told the schema, the fields that the terms name.
    """
    service = gathered.services.get(target)
    published = service.fields if service else ()
    masks: Mapping[str, str] = dict(permission.masks)
    lines = [
        FieldLine(
            name=field.name,
            title=Name(field.title_vi or field.name, field.title_en or field.title_vi or field.name),
            type=field.type,
            personal=field.personal,
            granted=permission.fields is None or field.name in permission.fields,
            mask=masks.get(field.name),
        )
        for field in published
    ]
    known = {field.name for field in published}
    named = dict.fromkeys([*(permission.fields or ()), *masks])
    lines += [
        FieldLine(name, Name(name, name), type="", personal=False, granted=True, mask=masks.get(name))
        for name in named
        if name not in known
    ]
    return tuple(lines)


def _purpose(gathered: Gathered, code: str, starts: datetime) -> PurposeLine:
    purpose = gathered.snapshot.purpose(code) if gathered.snapshot else None
    if purpose is None:
        return PurposeLine(code, Name(code, code), NOTHING, starts.date(), None)
    title = Name(purpose.title_vi, purpose.title_en)
    return PurposeLine(code, title, purpose.legal_basis, purpose.valid_from, purpose.valid_to)


def _filter(condition: RowCondition) -> FilterLine:
    field, operator, value = condition
    return FilterLine(field, operator, value if isinstance(value, tuple) else (value,))


def _signature(
    gathered: Gathered,
    member: str,
    role: Literal["consumer", "provider"],
    jws: str | None,
    *,
    by_rule: bool = False,
) -> SignatureLine:
    return SignatureLine(gathered.member_name(member), member, role, signing_key(jws), jws, by_rule)


def signing_key(jws: str | None) -> str | None:
    """The key id that a detached JWS names, or None when it can not be read."""
    try:
        header = json.loads(from_base64url((jws or "").partition(".")[0]))
        return str(header["kid"])
    except (ValueError, KeyError, TypeError):
        return None


def record_page(
    gathered: Gathered,
    leaf: bytes,
    entry: Entry,
    checkpoint: CheckpointView | None,
    *,
    placed: bool,
) -> RecordPage:
    """The record in words; ``entry`` is what ``entry_of_leaf`` made of ``leaf``, ``placed`` whether it has an index."""
    link = record_link("", entry, proved=checkpoint is not None)
    written = cast("Mapping[str, object]", orjson.loads(leaf))
    return RecordPage(
        line=use_line(gathered, [(gathered.own, entry)]),
        link=link,
        leaf=leaf.decode(),
        record=tuple(_pairs(written)),
        node=gathered.own.node,
        log_index=entry.idx if placed else None,
        checkpoint=checkpoint,
        peer_url=_peer_receipt(gathered, entry, written.get("peer_record")),
    )


def entry_of_leaf(leaf: bytes, named: bytes, index: int | None) -> Entry:
    """The fields of a record that people look for, read from its own bytes; index 0 stands for none yet."""
    written = orjson.loads(leaf)
    agreement = written["agreement"] or {}
    return Entry(
        idx=index or 0,
        hash=named,
        at=datetime.fromisoformat(written["at"]),
        side=written["side"],
        exchange_id=written["exchange_id"],
        consumer=written["consumer"],
        provider=written["provider"],
        resource=written["resource"],
        way=written["way"],
        purpose=written["purpose"],
        agreement=agreement.get("id"),
        agreement_digest=agreement.get("digest"),
        outcome=written["outcome"],
        reason=written["reason"],
        rows=written["rows"],
        bytes=written["bytes"],
    )


def checkpoint_view(log: LogFiles, note: bytes, at: datetime) -> CheckpointView:
    """Our own checkpoint, signed at ``at``."""
    head, shard = log.opened(note), log.of_note(note)
    name = shard_name(log.origin, head.origin)
    url = f"/log/{name}/checkpoint" if name else "/log/checkpoint"
    root = base64.b64encode(head.root).decode("ascii")
    return CheckpointView(head.origin, head.size, root, at, url, shard.verifier_key)


def _peer_receipt(gathered: Gathered, entry: Entry, peer_record: object) -> str | None:
    """The other side's receipt: named by a consumer's record; else found among what the other nodes show."""
    if isinstance(peer_record, str):
        base = gathered.base_of(entry.provider)
        return None if base is None else f"{base}/log/receipt/{peer_record}"
    for facts in gathered.nodes:
        for other in facts.entries:
            same_use = (other.exchange_id, other.resource) == (entry.exchange_id, entry.resource)
            if same_use and other.side != entry.side:
                return record_link(facts.base, other).receipt_url
    return None


def _pairs(written: Mapping[str, object], prefix: str = "") -> list[tuple[str, str | None]]:
    """Keys and values as text, in the order of the leaf; nested keys joined by a dot."""
    pairs: list[tuple[str, str | None]] = []
    for key, value in written.items():
        if isinstance(value, dict):
            pairs += _pairs(cast("Mapping[str, object]", value), f"{prefix}{key}.")
        elif isinstance(value, list):
            pairs.append((prefix + key, ", ".join(str(each) for each in cast("Sequence[object]", value)) or None))
        else:
            pairs.append((prefix + key, None if value is None else str(value)))
    return pairs
