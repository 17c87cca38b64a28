"""An agreement and a record on pages of their own: in words, beside the exact bytes that were signed or hashed."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime

from lienthong.agreements.document import write_agreement
from lienthong.agreements.ending import end_agreement
from lienthong.agreements.keeping import index_agreement
from lienthong.agreements.models import Obligation, Prohibition
from lienthong.agreements.queries import publish_rules
from lienthong.agreements.reading import parse_agreement
from lienthong.agreements.rules import accept_rule
from lienthong.portal.app import AgreementNotHere, RecordNotHere
from lienthong.portal.models import FilterLine, Name
from lienthong.trust.documents import verify_detached_jws
from lienthong.trust.merkle import leaf_hash
from lienthong.verify import verify_receipt
from tests.agreements.build import START, an_agreement, some_terms
from tests.node_pages.country import DATASET, citizen_terms
from tests.use.conftest import FIELDS
from tests.use.nodes import POLICE, PROVINCE
from tests.use.test_use import a_wish

OTHER = "urn:uuid:00000000-0000-4000-8000-000000000002"
STATE_BODIES = "VN/GOV"


def plain(digest: str) -> str:
    return digest.removeprefix("sha-256:")


async def kept(country, agreement, *sites) -> str:
    await country.agree(agreement, *sites)
    return plain(agreement.digest)


async def test_every_published_field_is_listed_as_given_masked_or_withheld(country):
    masks = (("phone", "drop"), ("birth_date", "year"))
    digest = await kept(country, an_agreement(OTHER, **citizen_terms(masks=masks)))

    page = await country.police.pages.agreement(digest)

    (permission,) = page.permissions
    assert [(field.name, field.granted, field.mask) for field in permission.fields] == [
        ("personal_number", True, None),
        ("full_name", True, None),
        ("birth_date", True, "year"),
        ("phone", True, "drop"),
        ("religion", False, None),
        ("province_code", True, None),
    ]
    assert permission.row_filter == (FilterLine("province_code", "eq", ("31",)),)
    assert (permission.purposes[0].title, permission.purposes[0].legal_basis) == (
        Name("Thủ tục", "Procedure"),
        "NĐ 278/2025",
    )


async def test_the_document_on_the_page_is_what_both_sides_signed(country):
    digest = await kept(country, an_agreement(OTHER, **citizen_terms()))

    page = await country.province.pages.agreement(digest)

    document = page.document.encode()
    assert hashlib.sha256(document).hexdigest() == digest == page.line.digest
    assert [(line.role, line.member_id) for line in page.signatures] == [("provider", POLICE), ("consumer", PROVINCE)]
    snapshot = country.national.local.directory.snapshot()
    for line in page.signatures:
        key, owner = snapshot.key(line.keyid)
        assert owner.id == line.member_id
        assert verify_detached_jws(document, line.jws, snapshot.public_key(key.keyid)) == line.keyid


async def test_without_a_published_schema_the_fields_are_those_the_terms_name(country):
    await country.police.silence()
    digest = await kept(country, an_agreement(OTHER, **citizen_terms()))

    page = await country.province.pages.agreement(digest)

    shown = page.permissions[0].fields
    assert sorted(field.name for field in shown) == sorted(FIELDS)
    assert {field.name: field.mask for field in shown if field.mask} == {"phone": "partial"}
    assert all(field.granted for field in shown)
    assert page.line.title == Name(DATASET, DATASET)


async def test_the_national_node_shows_an_agreement_between_others_with_the_providers_schema(country):
    home = await country.national.pages.home()

    page = await country.national.pages.agreement(home.agreements[0].digest)

    assert page.state == "FINALIZED"
    assert "religion" in [field.name for field in page.permissions[0].fields]
    assert [line.keyid for line in page.signatures] == [
        country.police.signer(POLICE).keyid,
        country.province.signer(PROVINCE).keyid,
    ]


async def test_duties_and_bans_are_named(country):
    terms = citizen_terms(
        obligations=(Obligation("delete-after", "P30D"), Obligation("cite-source")),
        prohibitions=(Prohibition("reidentify"),),
    )
    digest = await kept(country, an_agreement(OTHER, **terms))

    page = await country.police.pages.agreement(digest)

    assert {*page.obligations} == {("delete-after", "P30D"), ("cite-source", None)}
    assert (page.prohibitions, page.legal_basis) == (("reidentify",), "Nghị định 278/2025/NĐ-CP")
    assert "processing" in dict(page.clauses)


async def test_a_replaced_version_has_ended_and_the_new_one_names_it(country):
    first = an_agreement(OTHER, **citizen_terms())
    second = parse_agreement(
        write_agreement(
            some_terms(**citizen_terms()), agreement_id=OTHER, timestamp=START, version=2, predecessor=first.digest
        )
    )
    await country.agree(first)
    await country.agree(second)

    old = await country.police.pages.agreement(plain(first.digest))
    new = await country.police.pages.agreement(plain(second.digest))

    assert (old.state, old.previous_digest) == ("TERMINATED", None)
    assert (new.state, new.previous_digest, new.line.version) == ("FINALIZED", plain(first.digest), "2")


async def test_a_notice_ends_an_agreement_on_the_moment_it_names(country):
    agreement = an_agreement(OTHER, **citizen_terms())
    await country.agree(agreement)
    now = datetime.now(UTC).replace(microsecond=0)
    async with country.province.local.pool.connection() as db:
        await end_agreement(
            db, country.province.signer(PROVINCE), OTHER, reason="Không còn cần", provision=None, ends_at=now, now=now
        )

    page = await country.province.pages.agreement(plain(agreement.digest))
    home = await country.province.pages.home()
    everywhere = await country.national.pages.home()

    assert (page.state, page.line.valid_to) == ("TERMINATED", now)
    assert [line.id for line in home.agreements if line.id == OTHER] == []
    # The police has not heard of the notice yet; the national page has, from the other party.
    assert [line.id for line in everywhere.agreements if line.id == OTHER] == []


async def test_an_agreement_by_rule_waits_for_its_listing_then_for_its_first_use(country):
    rule = an_agreement(OTHER, **citizen_terms(consumer=STATE_BODIES, mode="rule", ends=None))
    digest = await kept(country, rule, country.police)
    unlisted = await country.police.pages.agreement(digest)
    async with country.police.local.pool.connection() as db:
        await publish_rules(db, [rule.digest])
        await index_agreement(db, OTHER)
    listed = await country.police.pages.agreement(digest)
    async with country.police.local.pool.connection() as db:
        await accept_rule(db, rule.digest, PROVINCE, exchange_id="x", at=datetime.now(UTC))
    used = await country.police.pages.agreement(digest)

    assert [page.state for page in (unlisted, listed, used)] == ["AGREED", "FINALIZED", "FINALIZED"]
    assert [page.signatures[1].by_rule for page in (unlisted, listed, used)] == [False, False, True]
    assert (used.signatures[1].member.en, used.signatures[1].jws) == ("Every state body", None)
    assert (used.line.by_rule, used.line.valid_to) == (True, None)


async def test_an_unknown_agreement_or_record_is_none_and_its_address_says_so(country):
    for path, problem in (("agreements", AgreementNotHere), ("records", RecordNotHere)):
        status, text = await country.get(f"{country.police.url}/{path}/{'0' * 64}")
        assert (status, json.loads(text)["type"]) == (404, f"urn:lienthong:problem:{problem.kind}")


async def test_a_record_is_shown_key_by_key_as_it_was_hashed(country):
    used = await country.use(a_wish())

    page = await country.police.pages.record(used.peer_record)

    leaf = json.loads(page.leaf)
    shown = dict(page.record)
    assert leaf_hash(page.leaf.encode()).hex() == used.peer_record == page.link.record_hash
    assert [key.split(".")[0] for key, _ in page.record if not key.startswith("agreement.")] == [
        key for key in leaf if key != "agreement"
    ]
    assert shown["agreement.digest"] == leaf["agreement"]["digest"]
    assert (shown["rows"], shown["reason"], shown["subjects"]) == ("1", None, ", ".join(leaf["subjects"]) or None)
    assert (page.node, page.log_index, page.line.outcome) == ("nut-g01", 0, "permitted")


async def test_a_record_waits_for_the_checkpoint_that_covers_it(country):
    used = await country.province.node.consumer.use(a_wish())
    before = await country.province.pages.record(used.record)
    await country.province.node.sequence()
    after = await country.province.pages.record(used.record)

    assert (before.log_index, before.checkpoint, before.link.proof_url) == (None, None, None)
    assert (after.log_index, after.checkpoint.size) == (0, 1)
    assert after.link.proof_url == f"/log/proof/{used.record}"


async def test_the_consumers_record_leads_to_the_providers_receipt(country):
    used = await country.use(a_wish())

    page = await country.province.pages.record(used.record)
    status, receipt = await country.get(page.peer_url)

    assert page.peer_url == f"{country.police.url}/log/receipt/{used.peer_record}"
    assert status == 200
    assert verify_receipt(json.loads(receipt)).ok


async def test_a_providers_record_names_no_other_and_leads_nowhere(country):
    used = await country.use(a_wish())

    assert (await country.police.pages.record(used.peer_record)).peer_url is None
