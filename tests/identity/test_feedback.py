"""A word about a page becomes a case, and how often pages are looked at is counted without anybody being followed."""

from __future__ import annotations

import re
from datetime import timedelta

import psycopg

from lienthong.identity.models import Role
from lienthong.portal.feedback import Limit, NoSuchFeedback, TooMuchFeedback, feedback_pages, page_path
from lienthong.portal.queries import visits
from lienthong.portal.visits import NoVisits, VisitLayer, Visits, visit_pages
from lienthong.storage.pool import reading
from lienthong.storage.provision import DatabaseDsns
from tests.identity.build import HERE, NOW, a_person
from tests.identity.portal import Small, send, small_portal
from tests.portal.axe import AXE, breaches, open_chromium

HOSTILE = '<script>alert(1)</script>\u202e đảo\u200b "chữ"'


def rows(dsns: DatabaseDsns, question: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsns.owner) as db:
        return db.execute(question).fetchall()  # type: ignore[arg-type]


async def test_feedback_needs_nobody_signed_in_is_one_case_when_sent_twice_and_shows_its_code(emptied: DatabaseDsns):
    async with small_portal(emptied.app, more=lambda small: [feedback_pages(small.pool, HERE)]) as small:
        browser = small.browser()
        page = await browser.get("/en/feedback?page=/en/members/VN/GOV/H24%3Fq=bi-mat")
        form = dict(re.findall(r'name="(token|form_key|page)" value="([^"]*)"', page.text))
        assert form["page"] == "/members/VN/GOV/H24"
        sent = [await browser.post("/en/feedback", data={**form, "text": HOSTILE}) for _ in range(2)]
        other = await browser.post("/en/feedback", data={**form, "text": "Sửa đi"})
        shown = await browser.get(sent[0].headers["location"])
        nothing = await browser.post("/feedback", data={**form, "text": " \u200b "})
        foreign = await browser.post("/feedback", data=form, headers={"Sec-Fetch-Site": "cross-site"})
        stale = await browser.post("/feedback", data={**form, "token": "0" * 64, "text": "còn đây"})
        missing = await browser.get("/feedback/0123456789abcdef", headers={"Accept": "application/json"})

    assert [each.status_code for each in sent] == [303, 303]
    assert sent[0].headers["location"] == sent[1].headers["location"]
    code = sent[0].headers["location"].removeprefix("/en/feedback/")
    assert code in shown.text
    assert rows(emptied, "SELECT id, kind, owner, opener, text, facts FROM case_file") == [
        (code, "feedback", HERE, None, '<script>alert(1)</script> đảo "chữ"', {"page": "/members/VN/GOV/H24"})
    ]
    assert (other.status_code, "Sửa đi" in other.text) == (409, True), "another text under the same key"
    assert (nothing.status_code, foreign.status_code) == (422, 403)
    assert (stale.status_code, "còn đây" in stale.text) == (422, True)
    assert missing.json()["type"].endswith(":no-such-feedback")
    assert NoSuchFeedback.kind == "no-such-feedback"


async def test_feedback_of_somebody_who_is_signed_in_is_theirs_and_too_much_of_it_waits(emptied: DatabaseDsns):
    async with small_portal(
        emptied.app, more=lambda small: [feedback_pages(small.pool, HERE, Limit(of_all=2))]
    ) as small:
        async with reading(small.pool) as db:
            person = await a_person(db, "hoa", Role.DATA_OFFICER)
        browser = await small.signed_in("hoa")
        taken = [await send(browser, "/feedback", {"text": f"Lời {n}"}) for n in range(3)]

    assert [each.status_code for each in taken] == [303, 303, 429]
    assert "Lời 2" in taken[2].text, "what was typed is kept"
    assert TooMuchFeedback.kind == "too-much-feedback"
    assert rows(emptied, "SELECT opener, opener_member FROM case_file") == [(person.id, HERE)] * 2


def test_only_a_path_of_this_portal_is_named_and_no_secret_or_own_room():
    assert page_path("/en/members?q=1") == "/members"
    for told in ("", "//elsewhere", "https://elsewhere/", "/\\x", "/a b", "/" + "a" * 300, "javascript:1", "/\u202ea"):
        assert page_path(told) == "/", told
    assert page_path("/login/first/secret") == "/login"
    assert page_path("/mine/uses/abc") == "/mine"


def test_a_place_is_limited_by_the_hour():
    now = 0.0
    limit = Limit(of_one=2, of_all=3, clock=lambda: now)

    def taken(place: str) -> bool:
        try:
            limit.take(place)
        except TooMuchFeedback:
            return False
        return True

    assert [taken("203.0.113.7") for _ in range(3)] == [True, True, False]
    assert [taken("203.0.113.8"), taken("203.0.113.9")] == [True, False]
    now = 3601.0
    assert taken("203.0.113.7")


async def test_pages_are_counted_by_pattern_and_day_and_small_numbers_are_told_together(emptied: DatabaseDsns):
    counted: list[Visits] = []
    today = NOW.date() - timedelta(days=400)

    def more(small: Small):
        counted.append(Visits(small.pool, today=lambda: today))

        async def read():
            async with reading(small.pool) as db:
                return await visits(db, today)

        async def draw(wanted, numbers):
            return f"<svg>{wanted['data']}</svg>"

        return [visit_pages(read, draw), feedback_pages(small.pool, HERE)]

    async with small_portal(
        emptied.app, more=more, layers=lambda small, app: app.add_middleware(VisitLayer, visits=counted[0])
    ) as small:
        browser = small.browser()
        for _ in range(12):
            await browser.get("/en/visits?q=bi-mat")
        for n in range(11):
            await browser.get(("/feedback?page=/x", "/login")[n % 2])
        await browser.get("/feedback/0123456789abcdef")
        await browser.get("/static/portal.css")
        undrawn = await browser.get("/visits/vi.light.svg")
        await counted[0].flush()
        told = (await browser.get("/v1/visits")).json()["rows"]
        page = (await browser.get("/en/visits")).text
        drawn = await browser.get("/visits/vi.light.svg")
        wrong = await browser.get("/visits/fr.light.svg", headers={"Accept": "application/json"})
        book = await browser.get("/v1/visits.xlsx")
        text = (await browser.get("/v1/visits.csv?lang=en")).text
        await counted[0].flush()
        async with open_chromium() as chromium:
            seen = await chromium.new_page(viewport={"width": 360, "height": 780}, color_scheme="dark")
            await seen.add_init_script(AXE)
            await seen.goto(small.url + "/visits")
            faults = await breaches(seen)

    assert undrawn.status_code == 404
    assert NoVisits.kind == "no-visits"
    assert wrong.json()["type"].endswith(":no-visits")
    together = {"vi": "Các trang được xem dưới mười lần", "en": "Pages shown less than ten times"}
    assert [(row["page"], row["views"]) for row in told] == [("/visits", 12), (together, 11)]
    assert "<code>/visits</code>" in page
    assert "bi-mat" not in page
    assert (drawn.status_code, drawn.headers["content-type"]) == (200, "image/svg+xml")
    assert book.content[:2] == b"PK"
    assert "Pages shown less than ten times" in text
    assert {str(row[1]) for row in rows(emptied, "SELECT * FROM visit")} == {"/visits", "/feedback", "/login"}
    assert faults == []


async def test_today_and_fewer_than_ten_in_all_are_not_told(emptied: DatabaseDsns):
    with psycopg.connect(emptied.owner, autocommit=True) as db:
        db.execute(
            "INSERT INTO visit SELECT (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date, '/a', 500"
            " UNION ALL VALUES (date '2026-01-01', '/b', 4), (date '2026-01-01', '/c', 5)"
        )
    assert rows(emptied, "SELECT * FROM stat_visit") == []


async def test_what_the_database_does_not_take_is_written_later(emptied: DatabaseDsns):
    async with small_portal(emptied.app) as small:
        counted = Visits(small.pool, today=lambda: NOW.date())
        counted.count("/a")
        with psycopg.connect(emptied.owner, autocommit=True) as db:
            db.execute("ALTER TABLE visit RENAME TO visit_away")
            await counted.flush()
            db.execute("ALTER TABLE visit_away RENAME TO visit")
        counted.count("/a")
        await counted.flush()

    assert rows(emptied, "SELECT page, views FROM visit") == [("/a", 2)]
