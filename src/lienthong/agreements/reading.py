"""Signed bytes to an Agreement: everything is understood or the document is refused, naming what was not.

Dropping a term silently would turn a limit into a licence; so an unknown key, operand, operator, action or value is
an error with its place in the document, and never "no condition".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar, cast

from lienthong.agreements import vocabulary as v
from lienthong.agreements.document import (
    FORBIDDEN_IRI,
    OBLIGATION_IRI,
    ROW_OPERATOR_NAME,
    Json,
    canonical,
    sha256_text,
)
from lienthong.agreements.models import (
    MODES,
    ROW_OPERATORS,
    USUAL_WAYS,
    Agreement,
    Clause,
    Forbidden,
    MaskKind,
    Obligation,
    ObligationKind,
    Permission,
    Prohibition,
    RowCondition,
    RowOperator,
    Terms,
    Way,
)
from lienthong.directory.models import MemberId, SystemId
from lienthong.errors import Problem
from lienthong.i18n import T

Known = TypeVar("Known")
DOCUMENT_LIMIT_BYTES: Final = 256 * 1024
_MOMENT: Final = re.compile(r"[1-9][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z\Z")
_COUNT: Final = re.compile(r"[1-9][0-9]{0,8}\Z")
_AGREEMENT_ID: Final = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_DIGEST: Final = re.compile(r"sha-256:[0-9a-f]{64}\Z")
_ROW_OPERATOR_OF: Final[dict[str, RowOperator]] = {ROW_OPERATOR_NAME.get(name, name): name for name in ROW_OPERATORS}
_OBLIGATION_OF: Final[dict[str, ObligationKind]] = {iri: kind for kind, iri in OBLIGATION_IRI.items()}
_FORBIDDEN_OF: Final[dict[str, Forbidden]] = {iri: action for action, iri in FORBIDDEN_IRI.items()}
_BODY_KEYS: Final = {
    "@context", "@type", "@id", "profile", "assigner", "assignee", "target", "permission", "prohibition", "obligation",
    v.MODE, v.LEGAL_BASIS, v.CLAUSES, v.BUNDLE, v.SUCCEEDS,
}  # fmt: skip
_SIGNED_KEYS: Final = {"timestamp", v.VERSION, v.PREDECESSOR}


class AgreementMalformed(Problem):
    """The bytes are not a canonical JSON object of texts, lists and objects, or a part is missing or misshapen."""

    kind = "agreement-malformed"
    status = 422
    side = "caller"
    title = T("The agreement can not be read")


class AgreementTermUnknown(Problem):
    """A term, operator, action or obligation outside the profile: ``term`` names it, ``place`` says where."""

    kind = "agreement-term-unknown"
    status = 422
    side = "caller"
    title = T("The agreement holds a term nobody here understands")


def is_agreement_id(text: str) -> bool:
    """Whether ``text`` has the shape of an agreement's id."""
    return _AGREEMENT_ID.match(text) is not None


def parse_agreement(document: bytes) -> Agreement:
    """The agreement in ``document``.  Raises AgreementMalformed, AgreementTermUnknown, TermsRefused, IdMalformed."""
    body = read_canonical(document)
    _known_keys(body, _BODY_KEYS | _SIGNED_KEYS, "")
    _exactly(body, "@type", "Agreement")
    agreement_id, version = _text(body, "@id", ""), _text(body, v.VERSION, "")
    if not is_agreement_id(agreement_id) or not _COUNT.match(version):
        raise _malformed("@id")
    predecessor = _text(body, v.PREDECESSOR, "") if v.PREDECESSOR in body else None
    if (predecessor is None) != (version == "1") or (predecessor is not None and not _DIGEST.match(predecessor)):
        raise _malformed(v.PREDECESSOR)
    return Agreement(
        id=agreement_id,
        version=int(version),
        timestamp=read_moment(_text(body, "timestamp", ""), "timestamp"),
        predecessor=predecessor,
        terms=_terms(body),
        document=document,
        digest=sha256_text(document),
    )


def parse_offer(offer: Mapping[str, Json]) -> Terms:
    """The terms an Offer object asks for; the same refusals as for an agreement."""
    body = read_canonical(canonical(offer))
    _known_keys(body, _BODY_KEYS, "")
    _exactly(body, "@type", "Offer")
    return _terms(body)


def read_canonical(document: bytes) -> dict[str, Json]:
    """The JSON object of ``document``, which must be canonical and hold no number, boolean or null."""
    if len(document) > DOCUMENT_LIMIT_BYTES:
        raise AgreementMalformed(T("The document is larger than {limit} bytes."), limit=DOCUMENT_LIMIT_BYTES)
    try:
        value: object = json.loads(document)
        canonical_form = canonical(_only_texts(value, ""))
    except (ValueError, RecursionError) as unreadable:
        raise AgreementMalformed(T("The document is not JSON in UTF-8.")) from unreadable
    if not isinstance(value, dict) or canonical_form != document:
        raise AgreementMalformed(T("The document is not a JSON object in canonical form (RFC 8785)."))
    return cast("dict[str, Json]", value)  # _only_texts has walked all of it


def _only_texts(value: object, place: str) -> Json:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        for each in cast("list[object]", value):
            _only_texts(each, place)
    elif isinstance(value, dict):
        for key, each in cast("dict[str, object]", value).items():
            _only_texts(each, key)
    else:
        raise AgreementMalformed(T("{place} holds a number, a boolean or null."), place=place)
    return cast("Json", value)


def _terms(body: Mapping[str, Json]) -> Terms:
    if body.get("@context") != [v.DSP_CONTEXT]:
        raise _unknown("@context", "@context")
    _exactly(body, "profile", v.PROFILE)
    mode = _text(body, v.MODE, "").removeprefix(v.LT)
    clauses = _object(body.get(v.CLAUSES), v.CLAUSES)
    return Terms(
        provider=MemberId(_id(_text(body, "assigner", ""), v.ID, "assigner")),
        consumer=_id(_text(body, "assignee", ""), v.ID, "assignee"),
        target=_id(_text(body, "target", ""), v.ID, "target"),
        mode=_one_of(mode, {each: each for each in MODES}, v.MODE),
        legal_basis=_text(body, v.LEGAL_BASIS, ""),
        permissions=tuple(_permission(rule, f"permission[{at}]") for at, rule in _rules(body, "permission")),
        prohibitions=tuple(_prohibition(rule, f"prohibition[{at}]") for at, rule in _rules(body, "prohibition")),
        obligations=tuple(_obligation(rule, f"obligation[{at}]") for at, rule in _rules(body, "obligation")),
        clauses=tuple((_clause(key), _text(clauses, key, v.CLAUSES)) for key in clauses),
        bundle=_text(body, v.BUNDLE, "") if v.BUNDLE in body else None,
        succeeds=_digest(body, v.SUCCEEDS) if v.SUCCEEDS in body else None,
    )


def _digest(body: Mapping[str, Json], key: str) -> str:
    digest = _text(body, key, "")
    if not _DIGEST.match(digest):
        raise _malformed(key)
    return digest


def _clause(iri: str) -> Clause:
    return _one_of(iri, v.CLAUSE_OF, v.CLAUSES)


class _Conditions:
    """What the constraints of one rule add up to while they are read."""

    def __init__(self) -> None:
        self.purposes: tuple[str, ...] = ()
        self.ways: tuple[Way, ...] = ()
        self.systems: tuple[SystemId, ...] = ()
        self.starts: datetime | None = None
        self.ends: datetime | None = None
        self.ground: str | None = None
        self.fields: tuple[str, ...] | None = None
        self.masks: list[tuple[str, MaskKind]] = []
        self.rows: list[RowCondition] = []
        self.quota: int | None = None
        self.min_group: int | None = None


def _permission(rule: Mapping[str, Json], place: str) -> Permission:
    _known_keys(rule, {"action", "constraint"}, place)
    _one_of(_text(rule, "action", place), {v.USE: v.USE}, f"{place}.action")
    found = _constraints(rule, place, _READERS)
    if found.ground is None or found.starts is None:
        raise AgreementMalformed(T("{place} says no ground or no start."), place=place)
    return Permission(
        purposes=found.purposes,
        ground=found.ground,
        starts=found.starts,
        ends=found.ends,
        ways=found.ways or USUAL_WAYS,
        systems=found.systems,
        fields=found.fields,
        masks=tuple(found.masks),
        row_filter=tuple(found.rows),
        quota=found.quota,
        min_group=found.min_group,
    )


def _prohibition(rule: Mapping[str, Json], place: str) -> Prohibition:
    _known_keys(rule, {"action", "constraint"}, place)
    action = _one_of(_text(rule, "action", place), _FORBIDDEN_OF, f"{place}.action")
    found = _constraints(rule, place, _SHARED_READERS)
    return Prohibition(action, found.purposes, found.ways, found.systems, found.starts, found.ends)


def _obligation(rule: Mapping[str, Json], place: str) -> Obligation:
    _known_keys(rule, {"action", "constraint"}, place)
    kind = _one_of(_text(rule, "action", place), _OBLIGATION_OF, f"{place}.action")
    constraints = _list(rule.get("constraint", []), place)
    if not constraints:
        return Obligation(kind)
    if len(constraints) > 1:
        raise _malformed(f"{place}.constraint")
    left, operator, right = _atomic(_object(constraints[0], place), place)
    if (left, operator) != (v.ELAPSED_TIME, "lteq"):
        raise _unknown(left if left != v.ELAPSED_TIME else operator, place)
    return Obligation(kind, _as_text(right, place))


Reader = Callable[[_Conditions, Json, str, str], None]
"""Takes what was found so far, the right operand, the operator and the place."""


def _constraints(rule: Mapping[str, Json], place: str, readers: Mapping[tuple[str, str], Reader]) -> _Conditions:
    found = _Conditions()
    seen: set[tuple[str, str]] = set()
    for number, each in enumerate(_list(rule.get("constraint", []), place)):
        here = f"{place}.constraint[{number}]"
        left, operator, right = _atomic(_object(each, here), here)
        reader = readers.get((left, operator))
        if reader is None:
            raise _unknown(left if all(left != known for known, _ in readers) else f"{left} {operator}", here)
        if (left, operator) in seen and left not in (v.MASK, v.ROW_FILTER):
            raise AgreementMalformed(T("{place} repeats a condition."), place=here)
        seen.add((left, operator))
        reader(found, right, operator, here)
    return found


def _atomic(constraint: Mapping[str, Json], place: str) -> tuple[str, str, Json]:
    _known_keys(constraint, {"leftOperand", "operator", "rightOperand"}, place)
    if "rightOperand" not in constraint:
        raise _malformed(f"{place}.rightOperand")
    return _text(constraint, "leftOperand", place), _text(constraint, "operator", place), constraint["rightOperand"]


def _read_purpose(found: _Conditions, right: Json, _: str, place: str) -> None:
    found.purposes = tuple(_id(code, v.PURPOSE_ID, place) for code in _texts(right, place))


def _read_ways(found: _Conditions, right: Json, _: str, place: str) -> None:
    found.ways = tuple(_one_of(way, v.WAY_OF, place) for way in _texts(right, place))


def _read_system(found: _Conditions, right: Json, _: str, place: str) -> None:
    found.systems = tuple(SystemId(_id(system, v.ID, place)) for system in _texts(right, place))


def _read_start(found: _Conditions, right: Json, _: str, place: str) -> None:
    found.starts = read_moment(_as_text(right, place), place)


def _read_end(found: _Conditions, right: Json, _: str, place: str) -> None:
    found.ends = read_moment(_as_text(right, place), place)


def _read_ground(found: _Conditions, right: Json, _: str, place: str) -> None:
    found.ground = _as_text(right, place)


def _read_fields(found: _Conditions, right: Json, _: str, place: str) -> None:
    found.fields = _texts(right, place)


def _read_mask(found: _Conditions, right: Json, _: str, place: str) -> None:
    field, value = _field_and_value(right, place)
    found.masks.append((field, _one_of(_as_text(value, place), v.MASK_OF, place)))


def _read_row(found: _Conditions, right: Json, operator: str, place: str) -> None:
    field, value = _field_and_value(right, place)
    name = _ROW_OPERATOR_OF[operator]
    found.rows.append((field, name, _texts(value, place) if name == "in" else _as_text(value, place)))


def _read_quota(found: _Conditions, right: Json, _: str, place: str) -> None:
    found.quota = _count(right, place)


def _read_min_group(found: _Conditions, right: Json, _: str, place: str) -> None:
    found.min_group = _count(right, place)


_SHARED_READERS: Final[dict[tuple[str, str], Reader]] = {
    (v.PURPOSE, "isAnyOf"): _read_purpose,
    (v.WAYS, "isAnyOf"): _read_ways,
    (v.SYSTEM, "isAnyOf"): _read_system,
    (v.DATE_TIME, "gteq"): _read_start,
    (v.DATE_TIME, "lt"): _read_end,
}
_READERS: Final[dict[tuple[str, str], Reader]] = (
    _SHARED_READERS
    | {
        (v.GROUND, "eq"): _read_ground,
        (v.FIELDS, "isPartOf"): _read_fields,
        (v.MASK, "eq"): _read_mask,
        (v.QUOTA, "lteq"): _read_quota,
        (v.MIN_GROUP, "gteq"): _read_min_group,
    }
    | {(v.ROW_FILTER, operator): _read_row for operator in _ROW_OPERATOR_OF}
)


def _field_and_value(right: Json, place: str) -> tuple[str, Json]:
    operand = _object(right, place)
    _known_keys(operand, {v.FIELD, v.VALUE}, place)
    if v.VALUE not in operand:
        raise _malformed(place)
    return _text(operand, v.FIELD, place), operand[v.VALUE]


def read_moment(text: str, place: str) -> datetime:
    """A time as ``write_moment`` wrote it; ``place`` names it in the refusal.  Raises AgreementMalformed."""
    if not _MOMENT.match(text):
        raise _malformed(place)
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as impossible:
        raise _malformed(place) from impossible


def _count(right: Json, place: str) -> int:
    text = _as_text(right, place)
    if not _COUNT.match(text):
        raise _malformed(place)
    return int(text)


def _id(text: str, prefix: str, place: str) -> str:
    if not text.startswith(prefix):
        raise _unknown(text, place)
    return text.removeprefix(prefix)


def _one_of(text: str, known: Mapping[str, Known], place: str) -> Known:
    if text not in known:
        raise _unknown(text, place)
    return known[text]


def _rules(body: Mapping[str, Json], key: str) -> list[tuple[int, Mapping[str, Json]]]:
    if key not in body:
        return []
    rules = _list(body[key], key)
    if not rules:
        raise _malformed(key)
    return [(number, _object(rule, f"{key}[{number}]")) for number, rule in enumerate(rules)]


def _text(holder: Mapping[str, Json], key: str, place: str) -> str:
    return _as_text(holder.get(key), f"{place}.{key}".lstrip("."))


def _as_text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise _malformed(place)
    return value


def _texts(value: Json, place: str) -> tuple[str, ...]:
    texts = _list(value, place)
    if not texts:
        raise _malformed(place)
    return tuple(_as_text(each, place) for each in texts)


def _list(value: Json, place: str) -> list[Json]:
    if not isinstance(value, list):
        raise _malformed(place)
    return value


def _object(value: object, place: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise _malformed(place)
    return cast("dict[str, Json]", value)  # read_canonical has walked all of it


def _known_keys(holder: Mapping[str, Json], known: set[str], place: str) -> None:
    for key in holder:
        if key not in known:
            raise _unknown(key, place or "agreement")


def _exactly(body: Mapping[str, Json], key: str, value: str) -> None:
    if _text(body, key, "") != value:
        raise _unknown(_text(body, key, ""), key)


def _unknown(term: str, place: str) -> AgreementTermUnknown:
    return AgreementTermUnknown(
        T("{place} says {term}, which this profile does not know."),
        mend=T("Use only the terms published for the agreement profile."),
        term=term[:200],
        place=place,
    )


def _malformed(place: str) -> AgreementMalformed:
    return AgreementMalformed(T("{place} is missing or has the wrong shape."), place=place)
