"""`verify receipt`: a good receipt holds, every changed one fails, and what rests on somebody's word is said."""

from __future__ import annotations

import base64
import copy
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong import verify
from lienthong.access.models import AgreementRef, Record, digest, record_hash, write_record
from lienthong.directory.document import write_directory
from lienthong.directory.models import MemberKey
from lienthong.trust import es256
from lienthong.trust.documents import sign_document
from lienthong.trust.keys import key_id
from lienthong.trust.note import Checkpoint
from tests.directory.build import a_directory, a_member, a_node
from tests.verify.receipts import AT, Country, Node
from tests.verify.tampering import edit, rewritten_by_the_log, tampered, with_record

COUNTRY = Country()
RECEIPTS = dict(zip(("consumer", "provider"), COUNTRY.use(), strict=True))
SIDES = pytest.mark.parametrize("side", RECEIPTS)


def states(report: verify.Report) -> dict[str, bool | None]:
    assert len({check.name for check in report.checks}) == len(report.checks)
    return {check.name: check.ok for check in report.checks}


def broken(report: verify.Report) -> set[str]:
    return {name for name, ok in states(report).items() if ok is False}


def anchored(receipt: dict, country: Country = COUNTRY) -> verify.Report:
    return verify.verify_receipt(receipt, directory=country.directory(), anchor=country.anchor)


@SIDES
def test_a_good_receipt_holds_in_every_point_with_the_directory(side):
    report = anchored(RECEIPTS[side])

    assert report.ok
    assert set(states(report).values()) == {True}
    assert {"consumer-key", "provider-key", "log-key", "directory", "inclusion"} <= {*states(report)}


@SIDES
def test_without_directory_and_key_it_says_whose_word_it_takes(side):
    report = verify.verify_receipt(RECEIPTS[side])

    assert report.ok
    assert {name for name, ok in states(report).items() if ok is None} == {"log-key", "consumer-key", "provider-key"}
    assert "phải tin lời người đưa" in verify.render(report)
    assert "self-asserted" in verify.render(report)


def test_a_directory_without_its_anchor_is_used_and_said_to_be_unproven():
    report = verify.verify_receipt(RECEIPTS["consumer"], directory=COUNTRY.directory())

    assert report.ok
    assert {name for name, ok in states(report).items() if ok is None} == {"directory"}


def test_the_logs_key_may_come_from_the_checker():
    node = COUNTRY.consumer
    good = verify.verify_receipt(RECEIPTS["consumer"], log_key=node.verifier_key + "\n")
    wrong = verify.verify_receipt(RECEIPTS["consumer"], log_key=COUNTRY.provider.verifier_key)

    assert states(good)["log-key"] is True
    assert broken(wrong) == {"log-key"}


@SIDES
def test_every_changed_field_fails(side):
    passed = [name for name, receipt in tampered(RECEIPTS[side]) if anchored(receipt).ok]

    assert passed == []


@SIDES
def test_every_changed_field_fails_even_without_directory(side):
    passed = [name for name, receipt in tampered(RECEIPTS[side]) if verify.verify_receipt(receipt).ok]

    # A provider's record can not name its answer, so only a directory tells a stranger's answer from the provider's.
    assert passed == (["response signed by a stranger under its own name"] if side == "provider" else [])


@SIDES
def test_the_matrix_is_large_enough_to_mean_something(side):
    assert len([*tampered(RECEIPTS[side])]) > 180


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        ("record purpose", {"record-hash"}),
        ("record exchange_id, hash recomputed", {"request-fits", "inclusion"}),
        ("record peer_record, hash recomputed", {"response-fits", "inclusion"}),
        ("record body_digest, hash recomputed", {"response-fits", "inclusion"}),
        ("record request_signature_digest, hash recomputed", {"request-digest", "inclusion"}),
        ("record response_signature_digest, hash recomputed", {"response-digest", "inclusion"}),
        ("record at, hash recomputed", {"record-form", "inclusion"}),
        ("record with spaces", {"record-form", "inclusion"}),
        ("request base lienthong-purpose", {"request-signature"}),
        ("response base lienthong-record", {"response-signature"}),
        ("request signature byte 0", {"request-signature"}),
        ("response keyid", {"response-signature"}),
        ("proof index", {"inclusion"}),
        ("checkpoint size", {"checkpoint"}),
        ("log origin", {"checkpoint"}),
        ("log key of another log", {"checkpoint"}),
        ("node", {"record-form"}),
    ],
)
def test_a_change_is_found_by_the_check_it_concerns(change, fails):
    receipt = dict(tampered(RECEIPTS["consumer"]))[change]

    assert fails <= broken(verify.verify_receipt(receipt))


# What a node's owner can still say otherwise after the fact in its own record and its own log.  Witnesses and earlier
# checkpoints show that the log was rewritten; the receipt by itself can not.
UNTOLD_BY_THE_CONSUMERS_RECEIPT = {
    "at", "ground", "agreement.digest", "decision_digest", "outcome", "reason", "target_commitment", "bytes", "rows",
    "subjects", "way",
}  # fmt: skip


def test_a_consumer_that_rewrites_record_and_log_is_caught_in_what_was_signed():
    passed = {
        name.removeprefix("record ").removesuffix(" emptied")
        for name, receipt in rewritten_by_the_log(COUNTRY, RECEIPTS["consumer"])
        if anchored(receipt).ok
    }

    assert passed <= UNTOLD_BY_THE_CONSUMERS_RECEIPT
    assert passed >= {"ground", "decision_digest", "bytes"}  # the list above is no wish: these do pass


def test_a_provider_that_rewrites_record_and_log_is_always_caught():
    # Its answer is signed over the hash of its record.
    for name, receipt in rewritten_by_the_log(COUNTRY, RECEIPTS["provider"]):
        assert "response-fits" in broken(anchored(receipt)) or "record-form" in broken(anchored(receipt)), name


def test_the_provider_is_the_one_whose_service_it_is():
    forged = dict(rewritten_by_the_log(COUNTRY, RECEIPTS["consumer"]))["record provider"]

    assert broken(verify.verify_receipt(forged)) == {"request-fits"}


@pytest.mark.parametrize("field", ["peer_record", "response_signature_digest"])
def test_a_providers_record_that_names_its_own_answer_is_refused(field):
    country = Country()
    _, receipt = country.use()
    value = "ab" * 32 if field == "peer_record" else "sha-256:" + "ab" * 32
    changed = with_record(receipt, json.loads(receipt["record"]) | {field: value})
    message = changed["messages"]["response"]
    base = base64.b64decode(message["base"]).decode().replace(receipt["record_hash"], changed["record_hash"])
    raw = es256.sign(country.provider.key, base.encode())
    message |= {"base": base64.b64encode(base.encode()).decode(), "signature": base64.b64encode(raw).decode()}
    country.provider.append(changed["record"].encode())
    changed["proof"] = country.provider.proof(changed["record"].encode())

    assert broken(verify.verify_receipt(changed)) == {"response-fits"}


def test_an_answer_of_another_use_does_not_fit():
    first, _ = COUNTRY.use()
    second, _ = COUNTRY.use()
    mixed = edit(first, lambda r: r["messages"].update(response=second["messages"]["response"]))

    assert {"response-bound", "response-fits", "response-digest"} <= broken(anchored(mixed))


def test_a_request_of_another_use_does_not_fit():
    first, _ = COUNTRY.use()
    second, _ = COUNTRY.use()
    mixed = edit(first, lambda r: r["messages"].update(request=second["messages"]["request"]))

    assert {"request-fits", "request-digest", "response-bound"} <= broken(anchored(mixed))


def test_keys_that_are_not_the_members_are_refused_with_the_directory():
    impostor = Country()
    receipt, _ = impostor.use()

    assert verify.verify_receipt(receipt).ok
    assert broken(anchored(receipt)) == {"log-key", "consumer-key", "provider-key"}


def test_a_directory_signed_by_another_or_altered_is_refused():
    receipt = RECEIPTS["consumer"]
    envelope = json.loads(COUNTRY.directory())
    altered = {**envelope, "payload": base64.b64encode(b'{"members":[],"nodes":[]}').decode()}

    for directory, anchor in (
        (COUNTRY.directory(), Country().anchor),
        (json.dumps(altered).encode(), COUNTRY.anchor),
        (json.dumps({**envelope, "signatures": []}).encode(), COUNTRY.anchor),
        (b"{}", COUNTRY.anchor),
        (b"no directory", COUNTRY.anchor),
    ):
        report = verify.verify_receipt(receipt, directory=directory, anchor=anchor)
        assert "directory" in broken(report)
        assert states(report)["consumer-key"] is not True


@pytest.mark.parametrize(
    ("case", "fails"),
    [("too young", "consumer-key"), ("too old", "consumer-key"), ("another member", "consumer-key")],
)
def test_a_key_counts_only_for_its_member_and_time(case, fails):
    document = COUNTRY.directory_document()
    key = document["members"][0]["keys"][0]
    match case:
        case "too young":
            key["valid_from"] = (AT + timedelta(seconds=1)).isoformat()
        case "too old":
            key["valid_to"] = AT.isoformat()
        case _:
            document["members"][0]["id"] = "VN/GOV/H32"
    report = verify.verify_receipt(RECEIPTS["consumer"], directory=COUNTRY.directory(document), anchor=COUNTRY.anchor)

    assert broken(report) == {fails}


@pytest.mark.parametrize("change", [{"log_key": "x"}, {"log_origin": "x"}, {"id": "x"}, {"members": []}])
def test_the_directory_must_give_the_log_to_the_node_of_that_member(change):
    document = COUNTRY.directory_document()
    document["nodes"][0] |= change
    report = verify.verify_receipt(RECEIPTS["consumer"], directory=COUNTRY.directory(document), anchor=COUNTRY.anchor)

    assert broken(report) == {"log-key"}


def test_a_receipt_without_proof_is_good_so_far_and_says_so():
    report = verify.verify_receipt({**RECEIPTS["consumer"], "proof": None})

    assert report.ok
    assert states(report)["inclusion"] is None
    assert "checkpoint" not in states(report)


def test_a_public_copy_that_withholds_its_messages_says_so():
    report = verify.verify_receipt({**RECEIPTS["consumer"], "messages": None, "withheld": "messages"})

    assert report.ok
    assert states(report)["request-signature"] is states(report)["response-signature"] is None
    assert "response-bound" not in states(report)


def test_a_use_without_any_message_is_shown_by_its_record_alone():
    node = Node("nut-g01", "VN/GOV/G01")
    country = Country(provider=node)
    _, receipt = country.use(way="table")
    record = json.loads(receipt["record"]) | {"request_signature_digest": None}
    unsigned = with_record({**receipt, "messages": None}, record)
    node.append(unsigned["record"].encode())
    report = verify.verify_receipt({**unsigned, "proof": node.proof(unsigned["record"].encode())})

    assert report.ok
    assert states(report)["request-signature"] is None


def test_a_purpose_left_to_the_provider_is_pointed_out():
    receipt, _ = Country().use(open_purpose=True)

    assert verify.verify_receipt(receipt).ok
    assert states(verify.verify_receipt(receipt))["request-fits"] is None


def test_a_refusal_may_name_less_than_the_request_but_nothing_else():
    country = Country()
    receipt, _ = country.use(outcome="refused", reason="no-agreement")
    record = json.loads(receipt["record"])

    def recorded(**changes: object) -> verify.Report:
        changed = with_record(receipt, record | changes)
        country.consumer.append(changed["record"].encode())
        return verify.verify_receipt({**changed, "proof": country.consumer.proof(changed["record"].encode())})

    assert states(recorded(agreement=None))["request-fits"] is None
    assert states(recorded(purpose="ANOTHER"))["request-fits"] is False
    assert states(recorded(agreement=None, outcome="permitted"))["request-fits"] is False


def test_optional_fields_are_part_of_what_was_signed():
    receipt, _ = Country().use(optional=False)

    assert verify.verify_receipt(receipt).ok


def _resigned(country: Country, role: str, change) -> dict:
    """The receipt with a message its own member signed over a changed base, and a record and log that fit it."""
    receipt, _ = country.use()
    node = country.consumer if role == "request" else country.provider
    message = receipt["messages"][role]
    base = change(base64.b64decode(message["base"]).decode())
    raw = es256.sign(node.key, base.encode())
    message |= {"base": base64.b64encode(base.encode()).decode(), "signature": base64.b64encode(raw).decode()}
    changed = with_record(receipt, json.loads(receipt["record"]) | {f"{role}_signature_digest": digest(raw)})
    country.consumer.append(changed["record"].encode())
    return {**changed, "proof": country.consumer.proof(changed["record"].encode())}


@pytest.mark.parametrize(
    ("case", "change", "fails"),
    [
        ("another exchange", lambda b: b.replace('"lienthong-exchange": ', '"lienthong-exchange": x'), "request-fits"),
        ("another client", lambda b: b.replace("VN/GOV/H31/motcua", "VN/GOV/H31/khac"), "request-fits"),
        (
            "another service",
            lambda b: b.replace('service": VN/GOV/G01/dancu', 'service": VN/GOV/G01/x'),
            "request-fits",
        ),
        ("another purpose", lambda b: b.replace("HP-HOTICH-01", "HP-HOTICH-02"), "request-fits"),
        ("another agreement", lambda b: b.replace("agreement:7;2", "agreement:7;3"), "request-fits"),
        ("another tag", lambda b: b.replace('tag="lienthong-1"', 'tag="other"'), "request-signature"),
        ("an hour of life", lambda b: b.replace("expires=1795", "expires=1796"), "request-signature"),
        ("no part at all", lambda b: b.split("\n")[-1], "request-signature"),
        ("purpose not covered", lambda b: b.replace('"lienthong-purpose" ', ""), "request-signature"),
        ("a part added", lambda b: '"date": x\n' + b, "request-signature"),
        ("a part twice", lambda b: b.split("\n")[0] + "\n" + b, "request-signature"),
        ("alg in the message", lambda b: b + ';alg="none"', "request-signature"),
        ("no nonce", lambda b: b.replace(';nonce="AAECAwQFBgcICQoLDA0ODw"', ""), "request-signature"),
        ("signed years ago", lambda b: b.replace("=1795", "=1695"), "request-fits"),
    ],
)
def test_a_message_signed_by_its_member_over_something_else_is_refused(case, change, fails):
    receipt = _resigned(Country(), "request", change)
    before = base64.b64decode(Country().use()[0]["messages"]["request"]["base"]).decode()

    assert change(before) != before
    assert fails in broken(verify.verify_receipt(receipt))


@pytest.mark.parametrize(
    ("case", "change", "fails"),
    [
        ("another record", lambda b: b.replace('"lienthong-record": ', '"lienthong-record": 00'), "response-fits"),
        ("another body", lambda b: b.replace("sha-256=:", "sha-256=:AAAA"), "response-fits"),
        ("another request", lambda b: b.replace('"signature";req: lt=:', '"signature";req: lt=:AA'), "response-bound"),
        ("another nonce", lambda b: b.replace('nonce="AA', 'nonce="BB'), "response-bound"),
        ("without request", lambda b: b.replace('"signature";req: lt', '"signature": lt'), "response-signature"),
    ],
)
def test_an_answer_signed_by_its_member_about_something_else_is_refused(case, change, fails):
    receipt = _resigned(Country(), "response", change)

    assert fails in broken(verify.verify_receipt(receipt))


def test_two_signatures_of_the_log_must_both_hold():
    receipt = copy.deepcopy(RECEIPTS["consumer"])
    proof = receipt["proof"]
    line = proof.rstrip("\n").split("\n")[-1]
    name, signature = line.split(" ")[1:]
    raw = base64.b64decode(signature)
    bad = base64.b64encode(raw[:4] + bytes(64)).decode()
    other = base64.b64encode(b"abcd" + bytes(64)).decode()

    assert verify.verify_receipt({**receipt, "proof": f"{proof}— {name} {other}\n— witness.example {bad}\n"}).ok
    assert "checkpoint" in broken(verify.verify_receipt({**receipt, "proof": f"{proof}— {name} {bad}\n"}))


def test_a_checkpoint_of_another_log_by_the_same_key_is_refused():
    node = Node("nut-h31", "VN/GOV/H31")
    country = Country(consumer=node)
    receipt, _ = country.use()
    note = receipt["proof"].split("\n\n", 1)[1]
    size, root = note.split("\n")[1:3]
    node.publish(Checkpoint("other.example/log", int(size), base64.b64decode(root)))
    forged = receipt["proof"].replace(note, node.files["checkpoint"].decode())

    assert broken(verify.verify_receipt({**receipt, "proof": forged})) == {"checkpoint"}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    ("format",), ("record",), ("record_hash",), ("messages",), ("messages", "request"), ("messages", "response"),
    ("messages", "request", "base"), ("messages", "request", "jwk"), ("messages", "request", "jwk", "x"),
    ("messages", "response", "signature"), ("messages", "response", "keyid"), ("log",), ("log", "key"), ("proof",),
]  # fmt: skip


@given(st.sampled_from(PLACES), JSON_VALUES)
def test_any_json_in_any_place_ends_in_a_report_never_in_a_crash(place, value):
    receipt = copy.deepcopy(RECEIPTS["consumer"])
    inner = receipt
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value

    report = anchored(receipt)

    expected_open = place == ("proof",) and value is None
    assert report.ok is expected_open or (value == 1 and place == ("format",))
    assert "RESULT" in verify.render(report)


@given(JSON_VALUES)
def test_any_json_for_a_record_is_refused_even_with_its_hash(value):
    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = "null"
    receipt = {**RECEIPTS["consumer"], "record": text, "record_hash": record_hash(text.encode()).hex()}

    assert not anchored(receipt).ok


def test_what_a_receipt_says_can_not_steer_the_terminal():
    record = json.loads(RECEIPTS["consumer"]["record"]) | {"consumer": "\x1b[2J\u202eX"}
    text = verify.render(verify.verify_receipt(with_record(RECEIPTS["consumer"], record)))

    assert "\x1b" not in text
    assert "\u202e" not in text


TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
DIGESTS = st.none() | HEX.map(lambda one: f"sha-256:{one}")
RECORDS = st.builds(
    Record,
    side=st.sampled_from(["consumer", "provider"]),
    exchange_id=TEXTS,
    at=st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the zone is the next
    node=TEXTS,
    consumer=TEXTS,
    provider=TEXTS,
    resource=TEXTS,
    way=st.sampled_from(["call", "table", "query", "event"]),
    purpose=st.none() | TEXTS,
    ground=st.none() | TEXTS,
    agreement=st.none() | st.builds(AgreementRef, TEXTS, TEXTS, HEX.map(lambda one: f"sha-256:{one}")),
    decision_digest=DIGESTS,
    outcome=st.sampled_from(["permitted", "refused", "failed"]),
    reason=st.none() | TEXTS,
    target_commitment=st.none() | HEX,
    request_signature_digest=DIGESTS,
    response_signature_digest=DIGESTS,
    body_digest=DIGESTS,
    bytes=st.none() | st.integers(0, 2**50),
    rows=st.none() | st.integers(0, 2**50),
    subjects=st.lists(HEX, max_size=3).map(tuple),
    peer_record=st.none() | HEX,
)


@given(RECORDS)
def test_every_record_a_node_can_write_has_the_form_the_verifier_knows(record):
    text = write_record(record).decode()

    assert verify.RECORD.fullmatch(text)
    assert list(json.loads(text)) == list(verify.RECORD_FORM)


@given(RECORDS, st.data())
def test_the_form_leaves_one_spelling_for_one_record(record, data):
    # Two texts of the form with the same values are the same text, so a hash names a meaning.
    text = write_record(record).decode()
    at = data.draw(st.integers(0, len(text) - 1))
    other = text[:at] + data.draw(st.sampled_from(' \t\n",:0\\{}[]uU')) + text[at + data.draw(st.integers(0, 1)) :]

    if other != text and verify.RECORD.fullmatch(other):
        assert json.loads(other) != json.loads(text)


def test_the_directory_that_a_national_node_publishes_is_read_as_it_is():
    consumer, provider = COUNTRY.consumer, COUNTRY.provider
    times = {"valid_from": AT - timedelta(days=1), "valid_to": AT + timedelta(days=1)}
    contents = a_directory(
        members=tuple(
            a_member(node.member, keys=(MemberKey(keyid=node.keyid, jwk=node.jwk, node=node.id, **times),))
            for node in (consumer, provider)
        ),
        nodes=tuple(
            a_node(
                node.id, operator=node.member, members=(node.member,), log_origin=node.origin, log_key=node.verifier_key
            )
            for node in (consumer, provider)
        ),
    )
    document = write_directory(contents, version=7, issued=AT, expires=AT + timedelta(days=1))
    signed = sign_document(document, COUNTRY.anchor_key, key_id(COUNTRY.anchor), "ES256")
    report = verify.verify_receipt(RECEIPTS["consumer"], directory=signed, anchor=COUNTRY.anchor)

    assert set(states(report).values()) == {True}
