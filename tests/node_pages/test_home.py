"""The front page tells what happened in the whole country, from what the nodes themselves can prove."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lienthong.access.gate import PurposeNotGranted
from lienthong.access.models import Record
from lienthong.portal.models import Name
from lienthong.verify import verify_receipt
from tests.agreements.build import END, an_agreement
from tests.node_pages.country import CITIZEN, NATIONAL, citizen_terms
from tests.use.nodes import COUNTER, POLICE, PURPOSE
from tests.use.test_use import PERSON, a_wish


async def test_a_use_is_one_line_with_the_records_of_both_sides(country):
    used = await country.use(a_wish())

    (line,) = (await country.national.pages.home()).uses

    assert (line.way, line.outcome, line.rows) == ("call", "permitted", 1)
    assert line.consumer == Name("UBND thành phố Hải Phòng", "People's Committee of Hải Phòng City")
    assert line.provider == Name("Bộ Công an", "Ministry of Public Security")
    assert (line.title, line.purpose) == (Name("Công dân", "Citizens"), Name("Thủ tục", "Procedure"))
    assert line.synthetic
    assert [(link.side, link.record_hash) for link in line.records] == [
        ("consumer", used.record),
        ("provider", used.peer_record),
    ]


async def test_every_link_of_a_use_leads_to_the_node_that_wrote_the_record(country):
    await country.use(a_wish())
    (line,) = (await country.national.pages.home()).uses

    for link, site in zip(line.records, (country.province, country.police), strict=True):
        status, receipt = await country.get(link.receipt_url)
        assert (status, link.receipt_url.startswith(site.url)) == (200, True)
        assert verify_receipt(json.loads(receipt)).ok
        assert (await country.get(link.page_url, headers={"Accept": "text/html"}))[0] == 200
        assert (await country.get(link.proof_url))[1].startswith("c2sp.org/tlog-proof")
    status, page = await country.get(line.agreement_url)
    assert (status, line.agreement_digest in page) == (200, True)


async def test_a_nodes_own_records_are_linked_without_its_address(country):
    used = await country.use(a_wish())

    (line,) = (await country.police.pages.home()).uses

    assert [link.receipt_url for link in line.records] == [f"/log/receipt/{used.peer_record}"]
    assert line.agreement_url == f"/agreements/{line.agreement_digest}"


async def test_a_refused_use_says_why_and_has_the_consumers_record_alone(country):
    with pytest.raises(PurposeNotGranted):
        await country.use(a_wish(purpose="HP-99"))

    (line,) = (await country.national.pages.home()).uses

    assert (line.outcome, line.reason) == ("refused", PurposeNotGranted.kind)
    assert (line.purpose, line.purpose_code) == (None, None)  # a word that the directory does not know stays out
    assert [link.side for link in line.records] == ["consumer"]


async def test_uses_are_newest_first_and_counted_once_though_both_sides_record_them(country):
    made = [await country.use(a_wish()) for _ in range(3)]

    home = await country.national.pages.home()

    assert [line.exchange_id for line in home.uses] == [used.exchange_id for used in reversed(made)]
    assert home.uses_by_way == (("call", 3),)


async def test_members_stand_with_their_nodes_and_an_unverified_code_stays_marked(country):
    await country.use(a_wish())

    national, province, police = (await country.national.pages.home()).members

    assert (national.id, national.code_verified, national.node_url) == (NATIONAL, False, "/")
    assert [line.health for line in (national, province, police)] == ["serving"] * 3
    assert (province.log_size, police.log_size) == (1, 1)
    assert (province.code_verified, province.node_url) == (True, country.province.url)
    assert (police.services, province.services) == ((Name("Công dân", "Citizens"),), ())


async def test_an_ordinary_node_speaks_for_itself_alone(country):
    await country.use(a_wish())

    home = await country.province.pages.home()

    assert [line.node for line in home.members] == ["nut-h24"]
    assert [[link.side for link in line.records] for line in home.uses] == [["consumer"]]


async def test_an_ordinary_node_calls_what_it_uses_by_the_title_its_provider_gives_it(country):
    used = await country.use(a_wish())

    home = await country.province.pages.home()
    record = await country.province.pages.record(used.record)
    agreement = await country.province.pages.agreement(home.agreements[0].digest)

    assert home.uses[0].title == home.agreements[0].title == record.line.title == Name("Công dân", "Citizens")
    assert "religion" in [field.name for field in agreement.permissions[0].fields]


async def test_without_the_providers_word_a_service_is_called_by_its_id(country):
    await country.use(a_wish())
    await country.police.silence()

    home = await country.province.pages.home()

    assert home.uses[0].title == Name(CITIZEN, CITIZEN)


async def test_a_reading_that_was_opened_and_closed_is_one_use_with_the_later_record(country):
    site, opened = country.police, datetime.now(UTC)
    reading = Record(
        side="provider", exchange_id="rdg-1", at=opened, node="nut-g01", consumer=COUNTER, provider=POLICE,
        resource=CITIZEN, way="table", purpose=PURPOSE, ground=None, agreement=None, decision_digest=None,
        outcome="permitted", reason="opened", rows=206,
    )  # fmt: skip
    closed = replace(reading, at=opened + timedelta(minutes=1), reason="closed", bytes=4711)
    hashes = [await site.node.parts.writer.append(record, {}) for record in (reading, closed)]
    await site.node.sequence()

    home = await country.national.pages.home()

    (line,) = home.uses
    assert home.uses_by_way == (("table", 1),)
    assert (line.outcome, line.reason, line.rows, line.bytes) == ("permitted", None, 206, 4711)
    assert (opened - line.at) < timedelta(milliseconds=1)
    assert [link.record_hash for link in line.records] == [hashes[1].hex()]


async def test_an_agreement_between_others_is_listed_once_and_leads_to_its_provider(country):
    (line,) = (await country.national.pages.home()).agreements

    assert (line.title, line.provider.en) == (Name("Công dân", "Citizens"), "Ministry of Public Security")
    assert (line.fields, line.masked, line.filtered, line.personal, line.by_rule) == (5, 1, True, True, False)
    assert line.url == f"{country.police.url}/agreements/{line.digest}"


@pytest.mark.parametrize(
    "window", [{"starts": END, "ends": END.replace(year=2030)}, {"ends": END.replace(year=2026, day=2)}]
)
async def test_only_agreements_in_force_are_listed(country, window):
    await country.agree(
        an_agreement("urn:uuid:00000000-0000-4000-8000-000000000002", **citizen_terms(purposes=("HP-02",), **window))
    )

    home = await country.police.pages.home()

    assert [line.id[-1] for line in home.agreements] == ["1"]


async def test_before_the_first_directory_a_node_shows_itself_by_its_id(country, tmp_path):
    settings = country.police.local.settings
    (settings.data / "directory" / "current").unlink()
    country.police.local.directory._snapshot = None  # what a node that has just been set up has

    home = await country.police.pages.home()

    assert (home.node, home.members) == (Name("nut-g01", "nut-g01"), ())
    assert home.agreements[0].provider == Name(POLICE, POLICE)


async def test_the_checkpoint_on_the_page_is_the_one_the_node_publishes(country):
    await country.use(a_wish())

    shown = (await country.police.pages.home()).checkpoint
    _, note = await country.get(country.police.url + shown.url)

    assert note.split("\n")[:3] == [shown.origin, str(shown.size), shown.root]
    assert shown.key == country.police.local.files.verifier_key


async def test_nothing_public_names_the_person_asked_for(country):
    used = await country.use(a_wish())
    site = country.police
    digest = (await site.pages.home()).agreements[0].digest

    paths = ["/", "/en/", f"/records/{used.peer_record}", f"/log/receipt/{used.peer_record}", f"/agreements/{digest}"]
    paths += ["/v1/uses", "/v1/services", "/v1/agreements", "/livez", "/readyz"]
    for path in paths:
        status, text = await country.get(site.url + path)
        assert status == 200, path
        assert not [word for word in (PERSON, "Nguyễn Thị Bình") if word in text], path


async def test_a_closed_member_is_not_among_those_who_take_part(country):
    country.redirect(
        members=tuple(replace(m, state="closed") if m.id == POLICE else m for m in country.contents.members)
    )

    home = await country.national.pages.home()

    assert POLICE not in [line.id for line in home.members]
