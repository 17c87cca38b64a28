"""Officers' pages about requests and agreements: read and decided by those who may, never without a reason."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx
import pytest
from starlette.applications import Starlette

from lienthong.identity.models import ANONYMOUS, Actor, Assurance, Role
from lienthong.portal.agreeing import Asked, Kept, agreeing_pages
from lienthong.portal.app import create_portal
from lienthong.portal.models import Name
from lienthong.portal.shell import Shell
from lienthong.web import install
from tests.portal import sample
from tests.portal.signed import SignedIn

MEMBER = "VN/GOV/G01"
NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
TO_US = Asked(
    "urn:uuid:1", Name("UBND thành phố Hải Phòng", "Hải Phòng"), "VN/GOV/H24", MEMBER, f"{MEMBER}/dancu/citizen",
    Name("Công dân", "Citizens"), "Giải quyết thủ tục <b>đất đai</b>", NOW, "provider", "Luật Dữ liệu 2024",
    sample.AGREEMENT.permissions,
)  # fmt: skip
OF_US = replace(TO_US, id="urn:uuid:2", ours="consumer", provider="VN/GOV/G12", target="VN/GOV/G12/doanhnghiep/firm")
GIVEN = Kept("urn:uuid:3", "a" * 64, TO_US.title, TO_US.consumer, TO_US.target, "provider", False, NOW + timedelta(365))
BY_RULE = replace(GIVEN, id="urn:uuid:4", by_rule=True, ends=None)


@dataclass
class Desk:
    """A node that notes what it is asked to do."""

    done: list[tuple[str, ...]] = field(default_factory=list)

    async def requests(self, member: str) -> Sequence[Asked]:
        return (TO_US, OF_US) if member == MEMBER else ()

    async def asked(self, member: str, pid: str) -> Asked | None:
        return next((each for each in await self.requests(member) if each.id == pid), None)

    async def approve(self, pid: str, actor: Actor) -> None:
        self.done.append(("approve", pid))

    async def refuse(self, pid: str, actor: Actor, reason: str, provision: str) -> None:
        self.done.append(("refuse", pid, reason, provision))

    async def agreements(self, member: str) -> Sequence[Kept]:
        return (GIVEN, BY_RULE) if member == MEMBER else ()

    async def end(self, agreement: str, actor: Actor, reason: str, provision: str, ends_at: datetime) -> None:
        self.done.append(("end", agreement, reason, provision, ends_at.isoformat()))


@dataclass
class Site:
    client: httpx.AsyncClient
    desk: Desk
    signed_in: list[Actor]

    async def open(self, path: str, status: int = 200) -> str:
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    async def send(self, path: str, **typed: str) -> httpx.Response:
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', await self.open(path)))
        return await self.client.post(path, data=hidden | typed)


def actor(*roles: Role, member: str = MEMBER) -> Actor:
    return Actor("p-1", "Trần Văn Nam", member, frozenset(roles), Assurance.TWO_FACTORS, "s-1")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    shell, desk, signed_in = Shell(secret=b"k" * 32), Desk(), [actor(Role.DATA_OFFICER)]
    app = Starlette(routes=create_portal(sample.SampleData(), shell, [agreeing_pages(desk)]))
    install(app, error_page=shell.error_page)
    transport = httpx.ASGITransport(SignedIn(app, signed_in), raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://portal.example", headers={"accept": "text/html"}
    ) as client:
        yield Site(client, desk, signed_in)


async def test_requests_are_listed_with_whose_answer_they_wait_for(site: Site):
    page = await site.open("/work/requests")

    assert page.index("chờ đơn vị trả lời") < page.index("chờ bên kia trả lời")


async def test_a_request_is_read_in_words_with_its_terms(site: Site):
    page = await site.open(f"/work/requests/{TO_US.id}")

    assert "UBND thành phố Hải Phòng" in page
    assert "&lt;b&gt;đất đai" in page
    for permission in TO_US.permissions:
        assert all(purpose.code in page for purpose in permission.purposes)
        assert all(f"<code>{shown.name}</code>" in page for shown in permission.fields)


async def test_approving_signs_it(site: Site):
    answer = await site.send(f"/work/requests/{TO_US.id}", deed="approve")

    assert (answer.status_code, site.desk.done) == (303, [("approve", TO_US.id)])


async def test_refusing_takes_a_reason_and_a_provision(site: Site):
    path = f"/work/requests/{TO_US.id}"
    for typed in ({"reason": "", "provision": "Điều 18"}, {"reason": "Không cần", "provision": "\u200b "}):
        refused = await site.send(path, deed="refuse", **typed)
        assert refused.status_code == 422
        assert 'role="alert"' in refused.text
    assert "Không cần" in unescape(refused.text)
    assert site.desk.done == []

    answer = await site.send(path, deed="refuse", reason="Dùng bản tổng hợp", provision="Luật Dữ liệu 2024, Điều 18")

    assert answer.status_code == 303
    assert site.desk.done == [("refuse", TO_US.id, "Dùng bản tổng hợp", "Luật Dữ liệu 2024, Điều 18")]


async def test_what_we_asked_ourselves_has_no_button_and_can_not_be_decided(site: Site):
    page = await site.open(f"/work/requests/{OF_US.id}")
    answer = await site.send(f"/work/requests/{OF_US.id}", deed="approve")

    assert 'name="deed"' not in page
    assert (answer.status_code, site.desk.done) == (403, [])


async def test_an_integrator_reads_and_decides_nothing(site: Site):
    site.signed_in.append(actor(Role.INTEGRATOR))

    page = await site.open(f"/work/requests/{TO_US.id}")
    answer = await site.send(f"/work/requests/{TO_US.id}", deed="approve")
    await site.open(f"/work/agreements/{GIVEN.id}/end", 403)

    assert 'name="deed"' not in page
    assert (answer.status_code, site.desk.done) == (403, [])


async def test_nobody_and_other_members_see_nothing(site: Site):
    site.signed_in.append(ANONYMOUS)
    for path in ("/work/requests", f"/work/requests/{TO_US.id}", "/work/agreements"):
        await site.open(path, 401)
    site.signed_in.append(actor(Role.DATA_OFFICER, member="VN/GOV/H24"))
    for path in (f"/work/requests/{TO_US.id}", f"/work/agreements/{GIVEN.id}/end"):
        await site.open(path, 404)
    assert TO_US.id not in await site.open("/work/requests")
    told = await site.client.get(f"/work/requests/{TO_US.id}", headers={"accept": "application/json"})
    assert told.json()["type"].rpartition(":")[2] == "request-not-here"


async def test_only_agreements_that_were_negotiated_can_be_ended_here(site: Site):
    page = await site.open("/work/agreements")

    assert f"/work/agreements/{GIVEN.id}/end" in page
    assert f"/work/agreements/{BY_RULE.id}/end" not in page


async def test_an_end_needs_a_day_to_come_a_reason_and_a_provision(site: Site):
    path, good = f"/work/agreements/{GIVEN.id}/end", {"reason": "Hết nhu cầu", "provision": "Điều 7"}
    tomorrow = datetime.now(UTC) + timedelta(hours=7, days=1)
    for wrong in (
        {"day": "01/01/2020"}, {"day": "hôm nào"}, {"day": "31/12/2999"}, {"reason": ""}, {"provision": ""},
    ):  # fmt: skip
        answer = await site.send(path, **({"day": tomorrow.strftime("%d/%m/%Y")} | good | wrong))
        assert answer.status_code == 422, wrong
    assert site.desk.done == []

    answer = await site.send(path, day=tomorrow.strftime("%d/%m/%Y"), **good)

    midnight = tomorrow.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=7)
    assert answer.status_code == 303
    assert site.desk.done == [("end", GIVEN.id, "Hết nhu cầu", "Điều 7", midnight.isoformat())]
