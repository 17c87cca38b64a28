"""Deeds by the API: done once, by those who may, with a session only from its own pages; two officers are told."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
from starlette.applications import Starlette

from lienthong.cases.queries import case_by_id, events_of
from lienthong.identity.models import Role
from lienthong.identity.tokens import make_token
from lienthong.portal.accountdeeds import account_deeds, account_reads
from lienthong.portal.casedeeds import case_deeds, case_reads
from lienthong.portal.deeds import Deed, Facts, about, read_wish
from lienthong.portal.doing import Doing, Pace
from lienthong.portal.feedback import Limit
from lienthong.portal.feedbackdeeds import feedback_deeds, feedback_reads
from lienthong.portal.persondeeds import person_deeds
from lienthong.portal.shell import Shell
from lienthong.storage.pool import reading
from lienthong.storage.provision import DatabaseDsns
from tests.identity.build import ELSEWHERE, HERE, KEY, NOW, PASSWORD, a_person
from tests.identity.portal import Small, small_portal

WISH = {"kind": "quality-ticket", "owner": HERE, "title": "Mã xã thiếu số 0"}
FEW = 40


@dataclass
class Api:
    """A portal with deeds; tokens of three persons."""

    small: Small
    dsns: DatabaseDsns
    officer: httpx.AsyncClient
    integrator: httpx.AsyncClient
    stranger: httpx.AsyncClient
    nobody: httpx.AsyncClient

    async def opened(self) -> dict[str, Any]:
        answer = await self.integrator.post("/v1/cases/open", json=WISH)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def count(self, table: str) -> int:
        with psycopg.connect(self.dsns.owner) as db:
            row = db.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert row
        return int(row[0])


def kind(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return str(answer.json()["type"]).removeprefix("urn:lienthong:problem:")


def screen_deed() -> Deed[Any]:
    async def nothing(actor: Any, wish: Any) -> Facts:
        return {"done": True}

    return Deed("nodes/restart", "Restart", type(WISH_OF_NOTHING), nothing, screen=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Nothing is asked."""

    note: str = about("A note.", default="")


WISH_OF_NOTHING = Nothing()


@pytest.fixture
async def api(emptied: DatabaseDsns) -> AsyncIterator[Api]:
    def layers(small: Small, app: Starlette) -> None:
        deeds = (
            *case_deeds(small.pool, {HERE, ELSEWHERE}.__contains__), *person_deeds(small.entrance),
            *account_deeds(small.entrance), *feedback_deeds(small.pool, HERE, Limit(of_one=2, of_all=2)), screen_deed(),
        )  # fmt: skip
        doing = Doing(deeds, small.pool, KEY, Shell(secret=KEY), Pace(most=FEW))
        reads = (*case_reads(small.pool), *account_reads(small.entrance), *feedback_reads(small.pool))
        app.router.routes.extend([*doing.routes(), *reads])

    async with small_portal(emptied.app, layers=layers) as small:
        people = (
            ("hoa", Role.DATA_OFFICER, HERE),
            ("an", Role.INTEGRATOR, ELSEWHERE),
            ("la", Role.DATA_OFFICER, "VN/GOV/G01"),
        )
        clients: list[httpx.AsyncClient] = []
        async with reading(small.pool) as db:
            for login, role, member in people:
                person = await a_person(db, login, role, member=member)
                scopes = ["open-cases", "handle-cases"] if role is Role.DATA_OFFICER else ["open-cases"]
                secret, _ = await make_token(db, person, "thử", scopes, 9, by=None, now=NOW)
                clients.append(small.client({"Authorization": f"Bearer {secret}"}))
        yield Api(small, emptied, *clients, small.client({}))


async def test_a_deed_is_done_by_whoever_may_and_says_how_many_are_left(api: Api) -> None:
    answer = await api.integrator.post("/v1/cases/open", json=WISH)

    assert answer.status_code == 200, answer.text
    assert answer.json()["state"]
    assert answer.headers["ratelimit-policy"] == f'"deeds";q={FEW};w=60'
    assert re.fullmatch(rf'"deeds";r={FEW - 1};t=[0-9]+', answer.headers["ratelimit"])
    async with reading(api.small.pool) as db:
        case = await case_by_id(db, answer.json()["case"])
    assert case is not None
    assert (case.title, case.owner, case.opener_member) == (WISH["title"], HERE, ELSEWHERE)


async def test_nobody_does_nothing_and_is_told_how_to_sign_in(api: Api) -> None:
    answer = await api.nobody.post("/v1/cases/open", json=WISH)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="lienthong"')
    assert answer.headers["content-type"] == "application/problem+json"
    assert kind(answer) == "login-needed"
    assert api.count("case_file") == 0


WRONG: tuple[tuple[dict[str, Any], set[str]], ...] = (
    ({}, {"kind", "owner", "title"}),
    (WISH | {"title": "\u200b \u202e"}, {"title"}),
    (WISH | {"title": "x" * 201}, {"title"}),
    (WISH | {"title": 7}, {"title"}),
    (WISH | {"kind": "no-such-kind"}, {"kind"}),
    (WISH | {"owner": "VN/GOV/NOBODY"}, {"owner"}),
    (WISH | {"colour": "red"}, {"colour"}),
)


async def test_every_field_that_is_wrong_is_named_and_nothing_is_done(api: Api) -> None:
    for body, wrong in WRONG:
        answer = await api.integrator.post("/v1/cases/open", json=body)
        assert (answer.status_code, kind(answer)) == (422, "bad-input")
        assert set(answer.json()["fields"]) == wrong
    assert api.count("case_file") == 0


async def test_what_is_no_json_object_is_refused(api: Api) -> None:
    for content, sent_as in (
        (b"[]", "application/json"),
        (b"{", "application/json"),
        (b"{}", "text/plain"),
        (b'{"title": "\\ud800"}', "application/json"),
    ):  # half a character: no UTF-8
        answer = await api.integrator.post("/v1/cases/open", content=content, headers={"Content-Type": sent_as})
        assert (answer.status_code, kind(answer)) == (415, "not-json")
    large = await api.integrator.post("/v1/cases/open", json=WISH | {"text": "x" * 300_000})
    assert kind(large) == "bad-input"


async def test_the_same_key_and_body_do_one_thing_and_are_answered_alike(api: Api) -> None:
    key = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}
    first = await api.integrator.post("/v1/cases/open", json=WISH, headers=key)
    again = await api.integrator.post("/v1/cases/open", json=dict(reversed(WISH.items())), headers=key)
    other = await api.integrator.post("/v1/cases/open", json=WISH | {"title": "Khác"}, headers=key)
    of_somebody_else = await api.officer.post("/v1/cases/open", json=WISH, headers=key)

    assert (first.status_code, again.status_code) == (200, 200), again.text
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert (other.status_code, kind(other)) == (422, "idempotency-key-reused")
    assert of_somebody_else.json()["case"] != first.json()["case"]
    assert api.count("case_file") == 2
    with psycopg.connect(api.dsns.owner) as db:
        kept = db.execute("SELECT key, body, answer FROM deed_answer").fetchall()
    assert first.json()["case"].encode() not in b"".join(bytes(part) for row in kept for part in row)


async def test_a_key_whose_first_call_has_no_answer_waits_and_a_refused_one_is_free_again(api: Api) -> None:
    key = {"Idempotency-Key": "a-key-of-this-test"}
    refused = await api.integrator.post(
        "/v1/cases/move", headers=key, json={"case": "none", "version": 1, "target": "x"}
    )
    assert refused.status_code == 404
    assert api.count("deed_answer") == 0
    assert (
        await api.integrator.post("/v1/cases/open", json=WISH, headers={"Idempotency-Key": "ngắn".encode()})
    ).status_code == 422
    done = await api.integrator.post("/v1/cases/open", json=WISH, headers=key)
    with psycopg.connect(api.dsns.owner, autocommit=True) as db:
        db.execute("UPDATE deed_answer SET answer = NULL")  # as if the node had stopped in the middle

    again = await api.integrator.post("/v1/cases/open", json=WISH, headers=key)

    assert done.status_code == 200
    assert (again.status_code, kind(again)) == (409, "deed-under-way")
    assert api.count("case_file") == 1


async def test_of_two_officers_the_second_is_told_that_it_changed(api: Api) -> None:
    case = await api.opened()
    read = await api.officer.get(f"/v1/cases/{case['case']}")
    said = {"case": case["case"], "text": "Đang xem"}

    unsaid = await api.officer.post("/v1/cases/answer", json=said)
    first = await api.officer.post("/v1/cases/answer", json=said, headers={"If-Match": read.headers["etag"]})
    second = await api.officer.post("/v1/cases/answer", json=said, headers={"If-Match": read.headers["etag"]})
    by_field = await api.officer.post("/v1/cases/answer", json=said | {"version": 1})
    torn = await api.officer.post("/v1/cases/answer", json=said | {"version": 1}, headers={"If-Match": '"2"'})

    assert (unsaid.status_code, kind(unsaid)) == (428, "version-needed")
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    assert (second.status_code, kind(second)) == (412, "changed-meanwhile")
    assert (by_field.status_code, kind(by_field)) == (409, "case-changed")
    assert torn.status_code == 422
    async with reading(api.small.pool) as db:
        assert [each.act for each in await events_of(db, case["case"])] == ["opened", "answered"]


async def test_a_case_is_nothing_to_a_stranger_and_a_no_needs_its_provision(api: Api) -> None:
    case = await api.opened()
    for answer in (
        await api.stranger.get(f"/v1/cases/{case['case']}"),
        await api.stranger.post("/v1/cases/answer", json={"case": case["case"], "version": 1, "text": "?"}),
        await api.officer.get("/v1/cases/none"),
    ):
        assert (answer.status_code, kind(answer)) == (404, "no-such-case")
    assert (await api.nobody.get(f"/v1/cases/{case['case']}")).status_code == 401


async def test_a_session_acts_only_with_the_token_of_its_own_pages(api: Api) -> None:
    browser = await api.small.signed_in("an")
    cookie = browser.cookies
    program = api.small.client({})
    program.cookies = cookie
    told = (await program.get("/v1/session")).json()["form_token"]
    another = await api.small.signed_in("hoa")
    foreign = (await another.get("/v1/session")).json()["form_token"]

    bare = await program.post("/v1/cases/open", json=WISH)
    wrong = await program.post("/v1/cases/open", json=WISH, headers={"Lienthong-Form": foreign})
    crossed = await program.post(
        "/v1/cases/open", json=WISH, headers={"Lienthong-Form": told, "Sec-Fetch-Site": "cross-site"}
    )
    right = await program.post("/v1/cases/open", json=WISH, headers={"Lienthong-Form": told})

    assert [bare.status_code, wrong.status_code, crossed.status_code] == [401, 401, 401]
    assert right.status_code == 200, right.text
    assert api.count("case_file") == 1
    assert (await api.nobody.get("/v1/session")).status_code == 401
    assert (await api.officer.get("/v1/session")).status_code == 401  # a token is no session


async def test_what_takes_a_person_is_refused_to_tokens(api: Api) -> None:
    by_token = await api.officer.post("/v1/nodes/restart", json={})
    browser = await api.small.signed_in("hoa")
    token = (await browser.get("/v1/session")).json()["form_token"]
    by_person = await browser.post("/v1/nodes/restart", json={}, headers={"Lienthong-Form": token})

    assert (by_token.status_code, kind(by_token)) == (403, "not-by-token")
    assert (by_person.status_code, by_person.json()) == (200, {"done": True})


async def test_somebody_who_does_too_much_in_a_minute_waits(api: Api) -> None:
    statuses = [(await api.stranger.post("/v1/cases/open", json={})).status_code for _ in range(FEW + 2)]
    late = await api.stranger.post("/v1/cases/open", json={})
    if late.status_code == 422:  # the minute turned
        statuses = [(await api.stranger.post("/v1/cases/open", json={})).status_code for _ in range(FEW + 2)]
        late = await api.stranger.post("/v1/cases/open", json={})

    assert statuses[0] == 422
    assert (late.status_code, kind(late)) == (429, "too-many-deeds")
    assert 1 <= int(late.headers["retry-after"]) <= 60
    assert late.headers["ratelimit"].startswith('"deeds";r=0;')
    assert (await api.integrator.post("/v1/cases/open", json=WISH)).status_code == 200


def test_an_input_is_read_without_what_nobody_sees() -> None:
    assert read_wish(Nothing, {"note": " a\u200b  b\u202e "}).note == "a b"
    assert read_wish(Nothing, {}).note == ""


async def a_program(api: Api, login: str) -> httpx.AsyncClient:
    """A program under the session of ``login``, with the token of its forms."""
    browser = await api.small.signed_in(login)
    program = api.small.client({"Lienthong-Form": (await browser.get("/v1/session")).json()["form_token"]})
    program.cookies = browser.cookies
    return program


async def test_persons_are_added_and_given_roles_by_two_persons(api: Api) -> None:
    async with reading(api.small.pool) as db:
        for login in ("dao", "cuc"):
            await a_person(db, login, Role.OPERATOR)
    one, other = [await a_program(api, login) for login in ("dao", "cuc")]

    added = await one.post("/v1/persons/add", json={"name": "Phạm Thị Mai", "login": "mai"})
    assert added.status_code == 200, added.text
    person = added.json()["person"]
    assert (await api.small.browser().get(added.json()["link"])).status_code == 200
    wish = {"person": person, "role": "integrator", "reason": "Nối hệ thống"}
    proposed = await one.post("/v1/persons/propose-role", json=wish)
    own = await one.post("/v1/approvals/approve", json={"proposal": proposed.json()["proposal"]})
    approved = await other.post("/v1/approvals/approve", json={"proposal": proposed.json()["proposal"]})
    late = await other.post("/v1/approvals/refuse", json={"proposal": proposed.json()["proposal"], "answer": "Thôi"})
    taken = await one.post("/v1/persons/take-role", json={"person": person, "role": "integrator"})
    closed = await one.post("/v1/persons/close", json={"person": person})

    assert (own.status_code, kind(own)) == (409, "same-person")
    assert approved.json() == {"proposal": proposed.json()["proposal"], "state": "approved"}
    assert (late.status_code, kind(late)) == (409, "proposal-not-open")
    assert taken.json() == {"person": person, "roles": []}
    assert closed.json() == {"person": person, "state": "closed"}
    assert kind(await (await a_program(api, "hoa")).post("/v1/persons/add", json=wish)) == "not-allowed"


async def test_the_own_account_is_looked_after_under_a_session_alone(api: Api) -> None:
    async with reading(api.small.pool) as db:
        await a_person(db, "lan", Role.INTEGRATOR, password=PASSWORD)
    program = await a_program(api, "lan")

    wrong = await program.post("/v1/account/password", json={"old": "không phải", "new": "sen hồng nở sớm mai"})
    weak = await program.post("/v1/account/password", json={"old": PASSWORD, "new": "12345678"})
    good = await program.post("/v1/account/password", json={"old": PASSWORD, "new": "sen hồng nở sớm mai"})
    key = {"Idempotency-Key": "a-token-made-once"}
    wish = {"label": "kịch bản", "scopes": ["open-cases"], "days": 3}
    made = await program.post("/v1/tokens/make", json=wish, headers=key)
    again = await program.post("/v1/tokens/make", json=wish, headers=key)
    too_much = await program.post("/v1/tokens/make", json=wish | {"scopes": ["approve-trust"]})
    by_token = api.small.client({"Authorization": f"Bearer {made.json()['secret']}"})
    opened = await by_token.post("/v1/cases/open", json=WISH)
    another = await by_token.post("/v1/tokens/make", json=wish)
    listed = (await program.get("/v1/tokens")).json()
    withdrawn = await program.post("/v1/tokens/withdraw", json={"token": made.json()["token"]})
    after = await by_token.post("/v1/cases/open", json=WISH)

    assert (wrong.status_code, kind(wrong)) == (422, "wrong-password")
    assert kind(weak) == "weak-password"
    assert good.json() == {"changed": True}
    assert again.json() == made.json()
    assert api.count("api_token") == 4  # three of the others
    assert kind(too_much) == "bad-token"
    assert (opened.status_code, kind(another)) == (200, "not-by-token")
    assert [each["id"] for each in listed["tokens"]] == [made.json()["token"]]
    assert made.json()["secret"] not in str(listed)
    assert (withdrawn.json(), after.status_code) == ({"withdrawn": True}, 401)
    assert (await program.post("/v1/sessions/end", json={"which": "all"})).json()["ended"] >= 1
    assert (await program.get("/v1/tokens")).status_code == 401


async def test_anybody_sends_feedback_and_follows_it_by_its_code_but_not_without_end(api: Api) -> None:
    sent = await api.nobody.post("/v1/feedback/send", json={"page": "/members?q=1", "text": "Thiếu xã"})
    told = (await api.nobody.get(f"/v1/feedback/{sent.json()['code']}")).json()
    await api.nobody.post("/v1/feedback/send", json={"text": "Nữa"})
    much = await api.nobody.post("/v1/feedback/send", json={"text": "Nữa"})

    assert (told["page"], told["state"]) == ("/members", sent.json()["state"])
    assert (much.status_code, kind(much)) == (429, "too-much-feedback")
    assert (await api.nobody.get("/v1/feedback/none")).status_code == 404
