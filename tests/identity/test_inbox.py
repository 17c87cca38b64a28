""" "Việc của tôi": what waits for whom, in which order, and what stands there when nothing does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from lienthong.cases.opening import Wish, open_case
from lienthong.cases.todo import Offer, Phrase, Todo, in_order
from lienthong.identity.models import Actor, Role
from lienthong.identity.roles import GIVE_ROLE
from lienthong.node.inboxes import approvals, cases_due
from lienthong.portal.inbox import CountLayer, Inbox, inbox_pages
from lienthong.storage.pool import DatabaseUnavailable, reading
from lienthong.storage.provision import DatabaseDsns
from tests.identity.build import ELSEWHERE, HERE, NOW, a_person, acting
from tests.identity.portal import Small, small_portal
from tests.portal.axe import AXE, breaches, open_chromium

TODAY = date(2026, 11, 23)
HOSTILE = 'Thiếu <script>alert("x")</script> dữ liệu'


def an_inbox(small: Small, *more: Offer) -> Inbox:
    return Inbox((approvals(small.entrance), cases_due(small.pool), *more), today=lambda: TODAY)


async def a_case(small: Small, owner: str, days_ago: int, title: str = HOSTILE, kind: str = "feedback") -> None:
    async with reading(small.pool) as db:
        await open_case(db, Wish(kind, owner, title), by=None, now=NOW - timedelta(days=days_ago))


async def people(small: Small) -> dict[str, Actor]:
    """Two operators, of whom one proposes a role for the data officer; an officer of another member, a citizen."""
    async with reading(small.pool) as db:
        found = {
            "hoa": await a_person(db, "hoa", Role.DATA_OFFICER),
            "mot": await a_person(db, "mot", Role.OPERATOR),
            "hai": await a_person(db, "hai", Role.OPERATOR),
            "xa": await a_person(db, "xa", Role.DATA_OFFICER, member=ELSEWHERE),
            "dan": await a_person(db, "dan", Role.CITIZEN, member=None),
        }
        await small.entrance.approvals.propose(
            db, acting(found["mot"]), GIVE_ROLE, HERE, {"person": found["hoa"].id, "role": "integrator"}, "cần", NOW
        )
    return {name: acting(person) for name, person in found.items()}


def test_late_comes_before_urgent_and_urgent_before_soon():
    soon, later, late, urgent, someday = (
        Todo("soon", "/", TODAY, "s"),
        Todo("later", "/", TODAY + timedelta(days=9), "s"),
        Todo("late", "/", TODAY - timedelta(days=1), "s"),
        Todo("urgent", "/", None, "s", urgent=True),
        Todo("someday", "/", None, "s"),
    )

    assert [each.title for each in in_order([someday, later, soon, urgent, late], TODAY)] == [
        "late", "urgent", "soon", "later", "someday",
    ]  # fmt: skip


async def test_each_sees_what_waits_for_them_and_nobody_what_waits_for_others(emptied: DatabaseDsns):
    async with small_portal(emptied.app, more=lambda small: [inbox_pages(an_inbox(small))]) as small:
        who = await people(small)
        await a_case(small, HERE, 90)
        await a_case(small, ELSEWHERE, 1, "Của đơn vị khác")
        inbox = an_inbox(small)
        waiting = {name: (await inbox.waiting(actor)).todos for name, actor in who.items()}

        assert [todo.href for todo in waiting["hai"]] == ["/approvals"]
        assert waiting["mot"] == (), "who proposed does not approve"
        assert [todo.late(TODAY) for todo in waiting["hoa"]] == [True]
        assert [todo.facts["title"] for todo in waiting["xa"]] == ["Của đơn vị khác"]
        assert waiting["dan"] == ()
        told = (await (await small.signed_in("hai")).get("/v1/work", headers={"Accept-Language": "en"})).json()
        assert told["todos"][0]["title"] == "Approve or refuse: Give a role"
        assert (await small.browser().get("/work")).headers["location"] == "/login/staff?next=/work"


async def test_an_offer_that_fails_hides_no_other_and_is_told(emptied: DatabaseDsns):
    async def broken(actor: Actor) -> Sequence[Todo]:
        raise DatabaseUnavailable("away")

    async with small_portal(emptied.app, more=lambda small: [inbox_pages(an_inbox(small, broken))]) as small:
        await people(small)
        page = await (await small.signed_in("hai")).get("/en/work")

    assert "This may not be all" in page.text
    assert "Approve or refuse: Give a role" in page.text


async def test_the_page_fits_a_phone_marks_what_is_late_and_counts_in_the_navigation(emptied: DatabaseDsns):
    faults: list[str] = []
    box: list[Inbox] = []

    async def node(actor: Actor) -> Sequence[Todo]:
        about = Phrase("The TLS key of {who} ends on the day.", {"who": "x" * 80})
        return [Todo("{part}: {cause}", "/status", None, "The node", True, {"part": "a", "cause": about}, "Mend it.")]

    def more(small: Small):
        box.append(an_inbox(small, node))
        return [inbox_pages(box[0])]

    async with (
        small_portal(
            emptied.app, more=more, layers=lambda small, app: app.add_middleware(CountLayer, inbox=box[0])
        ) as small,
        open_chromium() as browser,
    ):
        await people(small)
        await a_case(small, HERE, 90)
        page = await browser.new_page(viewport={"width": 360, "height": 780})
        await page.add_init_script(AXE)
        for login, prefix, theme in (("hoa", "", "dark"), ("hoa", "/en", "light"), ("hai", "", "light")):
            cookies = (await small.signed_in(login)).cookies
            secret = str(cookies.get(small.entrance.cookie))
            await page.context.add_cookies([{"name": small.entrance.cookie, "value": secret, "url": small.url}])
            await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            await page.goto(small.url + prefix + "/work")
            faults += [f"{login}: {each}" for each in await breaches(page)]
            wide = await page.evaluate("document.documentElement.scrollWidth")
            faults += [f"{login}: {wide} wide"] if wide > 360 else []
            assert (await page.locator(".rooms .count").inner_text()).split("\n")[0] == "2"
            if login == "hoa":
                assert (
                    await page.locator(".todos .late a").inner_text()
                    == f"{'Feedback' if prefix else 'Góp ý'}: {HOSTILE}"
                )

    assert not faults, "\n".join(faults)


async def test_where_nothing_waits_the_page_says_what_will_come(emptied: DatabaseDsns):
    async with small_portal(emptied.app, more=lambda small: [inbox_pages(an_inbox(small))]) as small:
        await people(small)
        officer, citizen = await small.signed_in("mot"), small.browser()
        assert "requests for access, cases with their legal time" in (await officer.get("/en/work")).text
        async with reading(small.pool) as db:
            person = await a_person(db, "dan", Role.CITIZEN, member=None)
            secret = await small.entrance.admit(db, person, acting(person).assurance, had=None, way="test")
        citizen.cookies.set(small.entrance.cookie, secret, domain="127.0.0.1", path="/")
        assert (await citizen.get("/work")).headers["location"] == "/mine"
