"""Terms to the bytes that are signed: the Dataspace Protocol's Agreement object in our ODRL profile.

The bytes are canonical JSON (RFC 8785) of an object that holds texts, lists and objects only, so canonical form is
sorted keys without spaces; they are made once and never re-serialised.  Source: DSP 2025-1, ODRL 2.2.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from lienthong.agreements import vocabulary as v
from lienthong.agreements.models import USUAL_WAYS, Forbidden, ObligationKind, Permission, Prohibition, Terms

Json = str | Sequence["Json"] | Mapping[str, "Json"]
"""What a document may hold: no numbers, no booleans, no nulls."""

ROW_OPERATOR_NAME = {"in": "isAnyOf"}
OBLIGATION_IRI: dict[ObligationKind, str] = {
    "delete-after": v.DELETE,
    "cite-source": v.ATTRIBUTE,
    "notify-breach": v.NOTIFY_BREACH,
}
FORBIDDEN_IRI: dict[Forbidden, str] = {"use": v.USE, "distribute": v.DISTRIBUTE, "reidentify": v.REIDENTIFY}


def canonical(value: Json) -> bytes:
    """``value`` as RFC 8785 bytes; its keys must be ASCII, as all names of the profile are."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256_text(content: bytes) -> str:
    """The digest of ``content`` as records and documents write it: ``sha-256:<hex>``."""
    return "sha-256:" + hashlib.sha256(content).hexdigest()


def write_moment(moment: datetime) -> str:
    """``moment`` as an XSD dateTime of whole seconds in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_agreement(
    terms: Terms, *, agreement_id: str, timestamp: datetime, version: int = 1, predecessor: str | None = None
) -> bytes:
    """The document of ``terms``, ready to be signed.  ``predecessor`` is the digest of the version before."""
    body: dict[str, Json] = _body(terms) | {
        "@type": "Agreement",
        "@id": agreement_id,
        "timestamp": write_moment(timestamp),
        v.VERSION: str(version),
    }
    if predecessor is not None:
        body[v.PREDECESSOR] = predecessor
    return canonical(body)


def write_offer(terms: Terms, *, offer_id: str) -> dict[str, Json]:
    """``terms`` as the Offer object a contract request carries."""
    return _body(terms) | {"@type": "Offer", "@id": offer_id}


def terms_digest(terms: Terms) -> str:
    """The same text for two terms exactly when they agree on everything, whatever the order of their parts."""
    return sha256_text(canonical(_body(terms)))


def _body(terms: Terms) -> dict[str, Json]:
    body: dict[str, Json] = {
        "@context": [v.DSP_CONTEXT],
        "profile": v.PROFILE,
        "assigner": v.ID + terms.provider,
        "assignee": v.ID + terms.consumer,
        "target": v.ID + terms.target,
        "permission": _sorted(_permission(permission) for permission in terms.permissions),
        v.MODE: v.LT + terms.mode,
        v.LEGAL_BASIS: terms.legal_basis,
        v.CLAUSES: {v.CLAUSE_IRI[clause]: text for clause, text in terms.clauses},
    }
    if terms.prohibitions:
        body["prohibition"] = _sorted(_prohibition(prohibition) for prohibition in terms.prohibitions)
    if terms.obligations:
        body["obligation"] = _sorted(_obligation(each.kind, each.period) for each in terms.obligations)
    if terms.bundle is not None:
        body[v.BUNDLE] = terms.bundle
    if terms.succeeds is not None:
        body[v.SUCCEEDS] = terms.succeeds
    return body


def _permission(permission: Permission) -> Json:
    constraints = _conditions(permission)
    constraints.append(_constraint(v.GROUND, "eq", permission.ground))
    if permission.fields is not None:
        constraints.append(_constraint(v.FIELDS, "isPartOf", sorted(permission.fields)))
    for field, kind in permission.masks:
        constraints.append(_constraint(v.MASK, "eq", {v.FIELD: field, v.VALUE: v.LT + kind}))
    for field, operator, value in permission.row_filter:
        operand: Json = sorted(value) if isinstance(value, tuple) else value
        name = ROW_OPERATOR_NAME.get(operator, operator)
        constraints.append(_constraint(v.ROW_FILTER, name, {v.FIELD: field, v.VALUE: operand}))
    if permission.quota is not None:
        constraints.append(_constraint(v.QUOTA, "lteq", str(permission.quota)))
    if permission.min_group is not None:
        constraints.append(_constraint(v.MIN_GROUP, "gteq", str(permission.min_group)))
    return {"action": v.USE, "constraint": _sorted(constraints)}


def _prohibition(prohibition: Prohibition) -> Json:
    constraints = _conditions(prohibition)
    rule: dict[str, Json] = {"action": FORBIDDEN_IRI[prohibition.action]}
    if constraints:
        rule["constraint"] = _sorted(constraints)
    return rule


def _conditions(rule: Permission | Prohibition) -> list[Json]:
    """The constraints both kinds of rule share: purpose, ways, system, time."""
    constraints: list[Json] = []
    if rule.purposes:
        constraints.append(_constraint(v.PURPOSE, "isAnyOf", sorted(v.PURPOSE_ID + code for code in rule.purposes)))
    # The usual ways are what the absence of the constraint means: written one way only, equal terms are equal bytes.
    if rule.ways and set(rule.ways) != set(USUAL_WAYS):
        constraints.append(_constraint(v.WAYS, "isAnyOf", sorted(v.WAY_IRI[way] for way in rule.ways)))
    if rule.systems:
        constraints.append(_constraint(v.SYSTEM, "isAnyOf", sorted(v.ID + system for system in rule.systems)))
    if rule.starts is not None:
        constraints.append(_constraint(v.DATE_TIME, "gteq", write_moment(rule.starts)))
    if rule.ends is not None:
        constraints.append(_constraint(v.DATE_TIME, "lt", write_moment(rule.ends)))
    return constraints


def _obligation(kind: ObligationKind, period: str | None) -> Json:
    duty: dict[str, Json] = {"action": OBLIGATION_IRI[kind]}
    if period is not None:
        duty["constraint"] = [_constraint(v.ELAPSED_TIME, "lteq", period)]
    return duty


def _constraint(left: str, operator: str, right: Json) -> Json:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def _sorted(parts: Iterable[Json]) -> list[Json]:
    return sorted(parts, key=canonical)
