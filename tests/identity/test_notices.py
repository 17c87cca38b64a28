"""Whoever is concerned by a case hears of it: once, without anybody's words, and again when it was not taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lienthong.cases.models import Case
from lienthong.cases.moving import answer, move
from lienthong.cases.notices import queries
from lienthong.cases.notices.mail import Mailer
from lienthong.cases.notices.models import NotCarried, Told, Wishes
from lienthong.cases.notices.sending import PAUSES, Sending
from lienthong.cases.notices.wishing import BadAddress, WrongCode, choose, confirm
from lienthong.cases.notices.wording import code_of
from lienthong.identity.models import Person, Role
from lienthong.node.casedesk import case_news
from lienthong.portal.cases import case_pages
from lienthong.portal.inbox import Inbox, inbox_pages
from lienthong.portal.noticing import Ways, Wished, notice_deeds, notice_pages
from lienthong.storage.pool import Pool, open_pool, reading
from lienthong.storage.provision import DatabaseDsns
from lienthong.trust.seal import Seal
from tests.cases.build import NOW, OTHER, OWNER, a_case, by
from tests.identity.build import a_person, acting
from tests.identity.portal import Small, send, small_portal
from tests.identity.postbox import PASSWORD, Postbox, postbox

BASE = "https://nut-h24.vn"
SECRET = b"s" * 32
TITLE = "Ông Nguyễn Văn Bí Mật bị ghi sai năm sinh"


@dataclass
class People:
    """A database with an officer who handles cases, one elsewhere, and somebody who opens them."""

    pool: Pool
    officer: Person
    elsewhere: Person
    asker: Person


@pytest.fixture
async def people(emptied: DatabaseDsns) -> AsyncIterator[People]:
    pool = await open_pool(emptied.app, max_size=3)
    async with reading(pool) as db:
        officer = await a_person(db, "hoa", Role.DATA_OFFICER, member=OWNER)
        elsewhere = await a_person(db, "xa", Role.DATA_OFFICER, member=OTHER)
        asker = await a_person(db, "hoi", Role.INTEGRATOR, member=OTHER)
    yield People(pool, officer, elsewhere, asker)
    await pool.close()


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Postbox]:
    async with postbox(tmp_path) as opened:
        yield opened


def sending(people: People, post: Postbox, now: datetime = NOW) -> Sending:
    mailer = Mailer(post.server, BASE, lambda person, mail: code_of(SECRET, person, mail))
    return Sending(people.pool, {"mail": mailer.carry}, lambda: now)


async def wish(people: People, person: Person, **wishes: object) -> Wishes:
    wanted = Wishes(person.id, mail=f"{person.login}@donvi.gov.vn", by_mail=True, mail_confirmed=True)
    told = replace(wanted, **wishes)
    async with reading(people.pool) as db:
        await queries.put_wishes(db, told)
    return told


async def opened(people: People) -> Case:
    async with reading(people.pool) as db:
        return await a_case(db, "correction", by=acting(people.asker), title=TITLE)


async def states(people: People) -> list[tuple[str, str, str]]:
    async with reading(people.pool) as db:
        found = await db.execute("SELECT way, state, word FROM notice ORDER BY id")
        return [tuple(row) for row in await found.fetchall()]


async def test_those_concerned_get_one_mail_over_tls_that_names_nobody(people: People, post: Postbox, caplog):
    for person in (people.officer, people.elsewhere, people.asker):
        await wish(people, person)
    case = await opened(people)
    async with reading(people.pool) as db:
        case = await answer(db, by(acting(people.officer), case, text="Đã nhận về ông Bí Mật"), NOW)

    assert await sending(people, post).send_all() == 2
    assert await sending(people, post, NOW + timedelta(days=1)).send_all() == 0, "told once"

    assert [(mail["To"], mail["Subject"]) for mail in post.mails] == [
        ("hoa@donvi.gov.vn", f"[Liên Thông] Vụ việc {case.id}: có vụ việc mới"),
        ("hoi@donvi.gov.vn", f"[Liên Thông] Vụ việc {case.id}: có trao đổi mới"),
    ]
    words = post.mails[0].get_content()
    assert words.startswith("Báo sai dữ liệu, vụ việc ")
    assert f"{BASE}/cases/{case.id}" in words
    assert f"{BASE}/en/cases/{case.id}" in words
    for mail in post.mails:
        assert "Bí Mật" not in mail.as_string() + mail.get_content()
    assert "donvi.gov.vn" not in caplog.text
    assert PASSWORD not in caplog.text
    assert PASSWORD not in "".join(mail.as_string() for mail in post.mails)


async def test_what_was_not_taken_is_tried_again_and_told_to_the_operator_without_addresses(
    people: People, post: Postbox
):
    await wish(people, people.officer)
    await opened(people)
    post.answers = ["451 later hoa@donvi.gov.vn"]

    await sending(people, post).send_all()
    async with reading(people.pool) as db:
        failing = await queries.failing_notices(db, NOW)
    assert [(each.way, each.word, each.state, each.count) for each in failing] == [("mail", "smtp-451", "waiting", 1)]
    assert await sending(people, post, NOW + PAUSES[0] - timedelta(seconds=1)).send_all() == 0
    await sending(people, post, NOW + PAUSES[0]).send_all()
    assert ("mail", "sent", "") in await states(people)

    await opened(people)
    post.answers = ["550 no hoa@donvi.gov.vn here"]
    await sending(people, post).send_all()
    assert ("mail", "given-up", "smtp-550") in await states(people)
    taken = len(post.mails)
    async with reading(people.pool) as db:
        assert await queries.try_again(db, NOW) == 1
    await sending(people, post).send_all()
    assert len(post.mails) == taken + 1


async def test_a_server_that_is_away_or_not_whom_it_says_gets_no_password(people: People, post: Postbox):
    await wish(people, people.officer)
    await opened(people)

    stranger = replace(post.server, roots="")
    away = replace(post.server, port=1)
    for server, word in ((stranger, "SSLCertVerificationError"), (away, "ConnectionRefusedError")):
        with pytest.raises(NotCarried) as failed:
            await Mailer(server, BASE, lambda *_: "").carry(await a_told(people))
        assert (failed.value.kind, failed.value.word) == ("notice-not-carried", word)
    wrong = replace(post.server, password="sai")
    with pytest.raises(NotCarried) as failed:
        await Mailer(wrong, BASE, lambda *_: "").carry(await a_told(people))
    assert failed.value.word == "smtp-535"
    assert post.mails == []


async def a_told(people: People) -> Told:
    async with reading(people.pool) as db:
        wishes = await queries.wishes_of(db, people.officer.id)
        notice = await queries.take_notice(db, NOW + timedelta(days=1), timedelta(seconds=-1))
    assert notice
    assert wishes
    return Told(notice, "Góp ý", "Feedback", "open", None, wishes)


async def test_wishes_hold_at_the_moment_of_sending_and_a_stopped_process_loses_nothing(people: People, post: Postbox):
    await wish(people, people.officer, about="clocks")
    case = await opened(people)
    async with reading(people.pool) as db:
        case = await answer(db, by(acting(people.asker), case, text="Thêm"), NOW)
        await queries.take_notice(db, NOW, timedelta(minutes=5))  # and then the process died
    assert [way for way, _, _ in await states(people)] == ["page", "mail"], "an answer is no matter of clocks"
    assert await sending(people, post).send_all() == 0
    assert await sending(people, post, NOW + timedelta(minutes=5)).send_all() == 1
    assert len(post.mails) == 1

    async with reading(people.pool) as db:
        await move(db, by(acting(people.asker), case), "withdrawn", NOW)
    await wish(people, people.officer, by_mail=False)
    await sending(people, post).send_all()
    assert len(post.mails) == 1
    assert ("mail", "dropped", "") in await states(people)


async def test_an_address_gets_nothing_but_its_code_before_the_code_came_back(people: People, post: Postbox):
    told = await wish(people, people.officer, mail_confirmed=False)
    await opened(people)
    async with reading(people.pool) as db:
        for _ in range(2):
            await queries.put_confirmation(db, people.officer.id, "confirm/1", "confirm", NOW)

    await sending(people, post).send_all()

    assert len(post.mails) == 1
    assert code_of(SECRET, people.officer.id, told.mail) in post.mails[0].get_content()
    assert "Xác nhận" in post.mails[0]["Subject"]


async def test_no_way_is_taken_that_the_node_has_not(people: People):
    choose_deed, _ = notice_deeds(people.pool, code_of_nobody, Ways(mail=False, webhook=False))
    wish = Wished(which="all", language="vi", webhook="https://noi-nhan.vn/tin")

    with pytest.raises(BadAddress, match="no notices to webhooks"):
        await choose_deed.do(acting(people.officer), wish)
    told = await choose_deed.do(acting(people.officer), Wished(which="all", language="vi", mail="hoa@h24.vn"))

    assert told == {"by_mail": False, "by_webhook": False}


def code_of_nobody(_person: str, _address: str) -> str:
    return "000000"


async def test_a_person_chooses_on_a_page_and_confirms_the_address_and_reads_news_until_the_case_is_opened(
    emptied: DatabaseDsns, post: Postbox
):
    def code(person: str, mail: str) -> str:
        return code_of(SECRET, person, mail)

    def modules(small: Small):
        inbox = Inbox((case_news(small.pool),))
        return [
            case_pages(small.pool, Seal(b"s" * 32)),
            inbox_pages(inbox),
            notice_pages(small.pool, code, Ways(True, True)),
        ]

    async with small_portal(emptied.app, more=modules) as small:
        async with reading(small.pool) as db:
            officer = await a_person(db, "hoa", Role.DATA_OFFICER, member=OWNER)
            case = await a_case(db, "feedback", by=None, title=TITLE)
        browser = await small.signed_in("hoa")
        assert (await small.browser().get("/account/notices")).status_code == 303, "for those who signed in"

        news = (await browser.get("/work")).text
        assert f"Vụ việc {case.id}: có vụ việc mới" in news
        await browser.get(f"/cases/{case.id}")
        assert case.id not in (await browser.get("/work")).text

        async def said(**fields: str):
            return await send(browser, "/account/notices", fields)

        choice = {"verb": "choose", "about": "clocks", "language": "vi"}
        refused = await said(**choice, webhook="http://169.254.169.254/latest")
        assert refused.status_code == 422
        assert "bắt đầu bằng https://" in refused.text
        assert "169.254.169.254" in refused.text, "what was typed comes back"
        assert (await said(**choice, mail="hoa@donvi.gov.vn")).status_code == 303
        people = People(small.pool, officer, officer, officer)
        await sending(people, post, datetime.now(UTC) + timedelta(minutes=1)).send_all()
        assert (await said(verb="confirm", code="0000000000")).status_code == 422
        told = post.mails[-1].get_content()
        sent = told.splitlines()[0].rsplit(" ", 1)[1]
        assert (await said(verb="confirm", code=sent)).status_code == 303
        async with reading(small.pool) as db:
            wishes = await queries.wishes_of(db, officer.id)
            assert wishes == Wishes(officer.id, "clocks", "hoa@donvi.gov.vn", True, True)
            with pytest.raises(WrongCode) as wrong:
                await confirm(db, acting(officer), "", code)
            assert wrong.value.kind == "wrong-code"
            for address in ("http://a.vn", "https://u:p@a.vn", "https://", "javascript:alert(1)"):
                with pytest.raises(BadAddress) as bad:
                    await choose(
                        db, acting(officer), about="all", language="vi", mail="", webhook=address, code=code, now=NOW
                    )
                assert bad.value.kind == "bad-webhook-address"
