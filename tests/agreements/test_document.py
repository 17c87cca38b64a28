"""The document: what is written is read back, what is not understood is refused by name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from lienthong.agreements import vocabulary as v
from lienthong.agreements.document import canonical, terms_digest, write_agreement, write_offer
from lienthong.agreements.models import CLAUSES, STANDARD_CLAUSES, Obligation, Prohibition, Terms, TermsRefused
from lienthong.agreements.reading import (
    AgreementMalformed,
    AgreementTermUnknown,
    parse_agreement,
    parse_offer,
    read_canonical,
)
from lienthong.directory.models import IdMalformed
from lienthong.errors import Problem
from tests.agreements.build import AGREEMENT_ID, COUNTER, END, START, a_permission, an_agreement, some_terms

# The Agreement object as the Dataspace Protocol's schema demands it (contract-schema.json of 2025-1), written here in
# the few lines that concern us: required members, operators, and operands that are never numbers or booleans.
OPERATORS = ["eq", "gt", "gteq", "lteq", "hasPart", "isA", "isAllOf", "isAnyOf", "isNoneOf", "isPartOf", "lt", "neq"]
RULE = {
    "type": "object",
    "required": ["action"],
    "properties": {
        "action": {"type": "string"},
        "constraint": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["leftOperand", "operator", "rightOperand"],
                "properties": {
                    "leftOperand": {"type": "string", "pattern": "^(http|urn):"},
                    "operator": {"enum": OPERATORS},
                    "rightOperand": {"type": ["string", "object", "array"]},
                },
            },
        },
    },
}
DSP_AGREEMENT = {
    "type": "object",
    "required": ["@id", "@type", "target", "assigner", "assignee", "timestamp", "permission"],
    "properties": {
        "@type": {"const": "Agreement"},
        "target": {"type": "string"},
        "assigner": {"type": "string"},
        "assignee": {"type": "string"},
        "timestamp": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
        **{key: {"type": "array", "minItems": 1, "items": RULE} for key in ("permission", "prohibition", "obligation")},
    },
}

FULL = some_terms(
    purposes=("HP-02", "HP-01"),
    ways=("query", "call"),
    systems=(COUNTER,),
    fields=("name", "born", "province"),
    masks=(("name", "partial"), ("born", "year")),
    row_filter=(("province", "in", ("31", "30")), ("born", "gteq", "1990-01-01")),
    quota=1000,
    min_group=5,
    prohibitions=(Prohibition("distribute"), Prohibition("use", purposes=("HP-02",), ways=("call",), starts=START)),
    obligations=(Obligation("delete-after", "P30D"), Obligation("cite-source"), Obligation("notify-breach", "PT72H")),
    bundle="urn:uuid:00000000-0000-4000-8000-0000000000b1",
)


def written(terms: Terms = FULL) -> bytes:
    return write_agreement(terms, agreement_id=AGREEMENT_ID, timestamp=START)


def altered(change: Any) -> bytes:
    body = json.loads(written())
    change(body)
    return canonical(body)


def test_what_was_written_is_what_is_read() -> None:
    agreement = parse_agreement(written())

    assert terms_digest(agreement.terms) == terms_digest(FULL)
    assert (agreement.id, agreement.version, agreement.timestamp) == (AGREEMENT_ID, 1, START)
    assert set(agreement.terms.permissions[0].row_filter) == {
        ("province", "in", ("30", "31")),
        ("born", "gteq", "1990-01-01"),
    }
    assert set(agreement.terms.obligations) == set(FULL.obligations)
    assert set(agreement.terms.prohibitions) == set(FULL.prohibitions)


def test_the_document_is_a_dataspace_protocol_agreement_without_numbers() -> None:
    body = json.loads(written())

    jsonschema.validate(body, DSP_AGREEMENT)
    assert body["@context"] == ["https://w3id.org/dspace/2025/1/context.jsonld"]
    for rule in (*body["permission"], *body["prohibition"], *body["obligation"]):
        assert rule["action"].startswith(("http://www.w3.org/ns/odrl/2/", "urn:lienthong:odrl:1:"))


def test_the_bytes_are_canonical_json() -> None:
    assert rfc8785.dumps(json.loads(written())) == written()


@given(
    st.recursive(
        st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii")), inner)
    )
)
def test_our_canonical_form_is_rfc_8785_for_texts_under_ascii_names(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


def test_equal_terms_give_equal_bytes_whatever_their_order() -> None:
    first, second = a_permission(purposes=("A", "B")), a_permission(purposes=("C",), fields=("y", "x"))
    swapped = (a_permission(purposes=("C",), fields=("x", "y")), a_permission(purposes=("B", "A")))

    one = some_terms(permissions=(first, second), clauses=STANDARD_CLAUSES)
    two = some_terms(permissions=swapped, clauses=STANDARD_CLAUSES[::-1])

    assert written(one) == written(two)


def test_an_offer_carries_the_same_terms() -> None:
    offer = write_offer(FULL, offer_id="urn:uuid:00000000-0000-4000-8000-0000000000f1")

    assert offer["@type"] == "Offer"
    assert terms_digest(parse_offer(offer)) == terms_digest(FULL)


def constraint(body: Any, left: str) -> Any:
    return next(each for each in body["permission"][0]["constraint"] if each["leftOperand"] == left)


UNKNOWN = {
    "a key of the agreement": (lambda b: b.update({"urn:x:price": "3"}), "urn:x:price"),
    "a key of a permission": (lambda b: b["permission"][0].update(duty=[]), "duty"),
    "a key of a constraint": (lambda b: constraint(b, v.QUOTA).update(unit="x"), "unit"),
    "a left operand": (lambda b: constraint(b, v.QUOTA).update(leftOperand=v.LT + "colour"), v.LT + "colour"),
    "a short left operand": (lambda b: constraint(b, v.PURPOSE).update(leftOperand="purpose"), "purpose"),
    "an operator": (lambda b: constraint(b, v.QUOTA).update(operator="gteq"), f"{v.QUOTA} gteq"),
    "a purpose by eq": (lambda b: constraint(b, v.PURPOSE).update(operator="eq"), f"{v.PURPOSE} eq"),
    "an action": (lambda b: b["permission"][0].update(action=v.ODRL + "transfer"), v.ODRL + "transfer"),
    "a short action": (lambda b: b["permission"][0].update(action="use"), "use"),
    "a prohibited action": (lambda b: b["prohibition"][0].update(action=v.ODRL + "sell"), v.ODRL + "sell"),
    "a field in a prohibition": (
        lambda b: b["prohibition"][1]["constraint"].append(
            {"leftOperand": v.FIELDS, "operator": "isPartOf", "rightOperand": ["x"]}
        ),
        v.FIELDS,
    ),
    "an obligation": (lambda b: b["obligation"][0].update(action=v.ODRL + "compensate"), v.ODRL + "compensate"),
    "an obligation's condition": (
        lambda b: b["obligation"][0].update(
            constraint=[{"leftOperand": v.ODRL + "event", "operator": "lteq", "rightOperand": "P1D"}]
        ),
        v.ODRL + "event",
    ),
    "a way": (lambda b: constraint(b, v.WAYS).update(rightOperand=[v.LT + "sale"]), v.LT + "sale"),
    "a mask": (
        lambda b: constraint(b, v.MASK)["rightOperand"].update({v.VALUE: v.LT + "shuffle"}),
        v.LT + "shuffle",
    ),
    "a mode": (lambda b: b.update({v.MODE: v.LT + "gift"}), "gift"),
    "a clause": (lambda b: b[v.CLAUSES].update({v.LT + "weather": "x"}), v.LT + "weather"),
    "a profile": (lambda b: b.update(profile="urn:other"), "urn:other"),
    "a context": (lambda b: b["@context"].append("https://example.vn/c"), "@context"),
    "a party that is no id": (lambda b: b.update(assignee="https://example.vn/"), "https://example.vn/"),
    "a logical constraint": (
        lambda b: b["permission"][0]["constraint"].append({"or": [constraint(b, v.QUOTA), constraint(b, v.GROUND)]}),
        "or",
    ),
}


@pytest.mark.parametrize(("change", "term"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_an_unknown_term_is_refused_by_name(change: Any, term: str) -> None:
    with pytest.raises(AgreementTermUnknown) as refused:
        parse_agreement(altered(change))

    assert refused.value.facts["term"] == term
    assert refused.value.facts["place"]


MALFORMED = {
    "no id": lambda b: b.pop("@id"),
    "an id that is none": lambda b: b.update({"@id": "AGR-1"}),
    "no permission": lambda b: b.update(permission=[]),
    "no start": lambda b: b["permission"][0]["constraint"].pop(0),
    "a condition twice": lambda b: b["permission"][0]["constraint"].append(constraint(b, v.QUOTA)),
    "a day as time": lambda b: b.update(timestamp="2026-01-01"),
    "a local time": lambda b: b.update(timestamp="2026-01-01T00:00:00+07:00"),
    "an impossible day": lambda b: b.update(timestamp="2026-02-31T00:00:00Z"),
    "a quota that is no count": lambda b: constraint(b, v.QUOTA).update(rightOperand="many"),
    "a quota with a sign": lambda b: constraint(b, v.QUOTA).update(rightOperand="-1"),
    "fields that are a text": lambda b: constraint(b, v.FIELDS).update(rightOperand="name"),
    "a version without predecessor": lambda b: b.update({v.VERSION: "2"}),
    "a first version with one": lambda b: b.update({v.PREDECESSOR: "sha-256:" + "0" * 64}),
    "no operand": lambda b: constraint(b, v.QUOTA).pop("rightOperand"),
    "a mask without a value": lambda b: constraint(b, v.MASK)["rightOperand"].pop(v.VALUE),
    "two periods": lambda b: b["obligation"][1]["constraint"].append(b["obligation"][1]["constraint"][0]),
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_misshapen_part_is_refused(change: Any) -> None:
    with pytest.raises(AgreementMalformed):
        parse_agreement(altered(change))


BYTES = {
    "not JSON": b"{",
    "not UTF-8": b'{"a":"\xff"}',
    "a list": b"[]",
    "a number": b'{"a":1}',
    "a boolean": b'{"a":true}',
    "null": b'{"a":null}',
    "not a number": b'{"a":NaN}',
    "a space": b'{"a": "b"}',
    "keys out of order": b'{"b":"","a":""}',
    "a key twice": b'{"a":"x","a":"y"}',
    "an escape that need not be": b'{"a":"\\u0061"}',
    "half a character": b'{"a":"\\ud800"}',
    "a depth without end": b"[" * 100_000,
    "too many bytes": b'{"a":"' + b"x" * 300_000 + b'"}',
}


@pytest.mark.parametrize("document", BYTES.values(), ids=BYTES.keys())
def test_bytes_that_are_not_our_canonical_form_are_refused(document: bytes) -> None:
    with pytest.raises(AgreementMalformed):
        read_canonical(document)


SENSELESS: dict[str, dict[str, Any]] = {
    "purpose": {"purposes": ()},
    "ground": {"ground": "because"},
    "dateTime": {"ends": START},
    "ways": {"ways": ()},
    "fields": {"fields": ()},
    "mask": {"fields": ("a",), "masks": (("b", "null"),)},
    "rowFilter": {"row_filter": (("a", "in", "x"),)},
    "quota": {"quota": 0},
    "minGroup": {"min_group": 1},
    "system": {"systems": ("VN/GOV/H31/motcua",)},
    "target": {"target": "VN/GOV/G13/datdai/parcel"},
    "mode": {"mode": "gift"},
    "assignee": {"consumer": "VN/GOV"},
    "legalBasis": {"legal_basis": " "},
    "obligation": {"obligations": (Obligation("cite-source"), Obligation("cite-source"))},
    "bundle": {"bundle": ""},
    "permission": {"permissions": ()},
}


@pytest.mark.parametrize(("term", "terms"), SENSELESS.items(), ids=SENSELESS.keys())
def test_senseless_terms_can_not_be_made(term: str, terms: dict[str, Any]) -> None:
    with pytest.raises(TermsRefused) as refused:
        some_terms(**terms)

    assert refused.value.facts["term"] == term


def test_only_an_agreement_by_rule_may_stay_open() -> None:
    assert an_agreement(mode="rule", ends=None).terms.permissions[0].ends is None
    with pytest.raises(TermsRefused):
        some_terms(ends=None)


def test_a_target_must_be_a_service_or_a_dataset() -> None:
    with pytest.raises(IdMalformed):
        some_terms(target="VN/GOV/G01/dancu")


@pytest.mark.parametrize("clause", CLAUSES)
def test_an_agreement_settles_every_matter_of_article_38(clause: str) -> None:
    """R-40: delivery, processing, limits, commitments, security, storage, derived data, deletion; the parties, the
    content, the period and the method are members every document has."""
    without = tuple((name, " " if name == clause else text) for name, text in STANDARD_CLAUSES)

    with pytest.raises(TermsRefused) as refused:
        some_terms(clauses=without)

    assert refused.value.facts["missing"] == clause


def test_a_second_version_names_the_first() -> None:
    first = an_agreement()
    document = write_agreement(
        some_terms(quota=5), agreement_id=first.id, timestamp=END, version=2, predecessor=first.digest
    )

    second = parse_agreement(document)

    assert (second.id, second.version, second.predecessor) == (first.id, 2, first.digest)


@given(st.binary(max_size=200))
def test_any_bytes_give_an_agreement_or_a_defined_refusal(document: bytes) -> None:
    with pytest.raises(Problem):
        parse_agreement(document)


def test_a_time_with_parts_of_a_second_can_not_be_agreed() -> None:
    with pytest.raises(TermsRefused):
        some_terms(ends=datetime(2027, 1, 1, 0, 0, 0, 5, tzinfo=UTC))
