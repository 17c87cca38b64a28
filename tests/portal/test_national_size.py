"""What is shown of a whole country stays readable: the graph of the exchange, the tree of the members."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from lienthong.directory.models import Member, MemberId, NodeId
from lienthong.i18n import Language
from lienthong.portal.app import create_portal
from lienthong.portal.charts import MOST_MEMBERS, Between, exchange_graph
from lienthong.portal.members import Listed, member_pages
from lienthong.portal.models import Name
from lienthong.portal.shell import Shell
from tests.directory.build import a_member, a_node, a_snapshot
from tests.portal import sample

AT = datetime(2026, 11, 1, 8, tzinfo=UTC)
CITY, COMMUNE, HANOI = MemberId("VN/GOV/H29"), MemberId("VN/GOV/H29.7"), MemberId("VN/GOV/H26")


def pairs(members: int) -> list[Between]:
    """Each member asks the ministry, the later ones more often; the first two ask each other."""
    ministry = Name("Bộ Công an", "Ministry of Public Security")
    names = [Name(f"Xã {number:04}", f"Commune {number:04}") for number in range(members)]
    found = [Between(name, ministry, number + 1) for number, name in enumerate(names)]
    return [*found, Between(names[0], names[1], 1)]


def drawn(specification: dict[str, Any]) -> tuple[list[str], list[int]]:
    lines, dots, *_ = specification["layer"]
    return [" ".join(dot["name"]) for dot in dots["data"]["values"]], [
        line["records"] for line in lines["data"]["values"]
    ]


@pytest.mark.parametrize(
    ("language", "first", "others"),
    [("vi", "Xã 3320", "3.306 đơn vị khác"), ("en", "Commune 3320", "3,306 other members")],
)
def test_of_a_whole_country_the_busiest_are_drawn_and_all_others_as_one(language: Language, first: str, others: str):
    every = pairs(3321)
    names, records = drawn(exchange_graph(every, language, "light"))

    assert len(names) == MOST_MEMBERS + 1
    assert {first, others} <= set(names)
    assert "Xã 0000" not in names
    assert sum(records) == sum(each.records for each in every) - 1  # two of the others among themselves


def test_of_few_members_each_is_drawn():
    names, records = drawn(exchange_graph(pairs(4), "vi", "dark"))

    assert len(names) == 5
    assert len(records) == 5


def members() -> tuple[Member, ...]:
    city = replace(a_member(CITY), name_vi="Ủy ban nhân dân Thành phố Hồ Chí Minh", name_en="Ho Chi Minh City")
    commune = replace(a_member(COMMUNE), kind="commune", parent=CITY, name_vi="Ủy ban nhân dân phường Thủ Dầu Một")
    return (city, commune, replace(a_member(HANOI), name_vi="Ủy ban nhân dân thành phố Hà Nội"))


async def tree_of(**asked: str) -> str:
    """The tree of the page of members; the commune joined in October."""
    node = replace(a_node(), id=NodeId("nut-h29"), members=(CITY,))

    async def on(day: date) -> Listed:
        known = members()
        return Listed(known if day >= date(2026, 10, 1) else (known[0], known[2]), (node,), AT)

    snapshot = a_snapshot(members=members(), nodes=(node,))
    module = member_pages(lambda: snapshot, on)
    app = Starlette(routes=create_portal(sample.SampleData(), Shell(secret=b"k" * 32), (module,)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://portal.example") as client:
        page = await client.get("/members", params=asked)
    assert page.status_code == 200
    return page.text.partition('id="tree"')[2].partition("</section>")[0]


async def test_an_old_name_of_a_province_finds_its_branch_of_the_tree_and_nothing_else():
    found = await tree_of(q="Bình Dương", day="2026-11-01")

    assert "Hồ Chí Minh" in found
    assert "phường Thủ Dầu Một" in found
    assert "Hà Nội" not in found
    assert "phường Thủ Dầu Một" in await tree_of(q="thu dau mot", day="2026-11-01")
    assert "Không tìm thấy" in await tree_of(q="zzz", day="2026-11-01")


async def test_the_tree_shows_who_took_part_on_the_day_asked_for():
    assert "phường Thủ Dầu Một" in await tree_of(day="2026-10-01")
    assert "phường Thủ Dầu Một" not in await tree_of(day="2026-09-30")
