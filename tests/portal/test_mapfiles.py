"""Maps as files: both archipelagos in each, figures where they belong, and drawings kept for a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from lienthong.directory.models import Member, MemberId, NodeId
from lienthong.errors import Problem
from lienthong.i18n import Language
from lienthong.portal.app import create_portal
from lienthong.portal.coverage import CONNECTED, NO_MEMBER, NO_NODE, coverage, coverage_pages
from lienthong.portal.finding import wanted
from lienthong.portal.mapfiles import MOST_KEPT, Drawings, Ending, MapSheet, NoPicture
from lienthong.portal.members import Listed
from lienthong.portal.sheet import Row, Sheet, columns_of
from lienthong.portal.shell import Shell
from tests.directory.build import a_member, a_node
from tests.portal import sample

DAY = date(2026, 11, 1)
AT = datetime(2026, 11, 1, 8, tzinfo=UTC)
HAI_PHONG, THUY_NGUYEN, DA_NANG = MemberId("VN/GOV/H24"), MemberId("VN/GOV/H24.1"), MemberId("VN/GOV/H17")
ARCHIPELAGOS = {
    "vi": ("Quần đảo Hoàng Sa", "Quần đảo Trường Sa"),
    "en": ("Hoàng Sa Archipelago", "Trường Sa Archipelago"),
}


def a_map(*codes: str, day: date = DAY) -> MapSheet:
    columns = columns_of(("name", "Province"), ("code", "Code", "code"), ("members", "Members", "figure"))
    names = {"01": "Thành phố Hà Nội", "48": "Thành phố Đà Nẵng", "56": "Tỉnh Khánh Hòa"}
    rows = tuple(Row((names[code], code, int(code))) for code in codes)
    sheet = Sheet("ban-do", "Members", columns, rows, AT)
    return MapSheet("Members", "Members", day, (1, 5, 10, 50), "members", codes, sheet)


@pytest.mark.parametrize("codes", [("01", "48", "56"), ("01",), ()], ids=["theirs", "others", "none"])
@pytest.mark.parametrize("language", ["vi", "en"])
def test_both_archipelagos_are_in_every_geojson(language: Language, codes: tuple[str, ...]):
    told = a_map(*codes).geojson(language)

    islands = [each for each in told["features"] if each["properties"]["kind"] == "archipelago"]
    assert [each["id"] for each in islands] == ["hoang-sa", "truong-sa"]
    assert tuple(each["properties"][f"name_{language}"] for each in islands) == ARCHIPELAGOS[language]
    assert [each["properties"]["province_vi"] for each in islands] == ["Thành phố Đà Nẵng", "Tỉnh Khánh Hòa"]
    assert [each["properties"].get("members") for each in islands] == ([48, 56] if len(codes) == 3 else [None, None])
    assert len(told["features"]) == len(codes) + 2


def test_geojson_names_provinces_in_both_languages_in_degrees_with_outer_rings_to_the_left():
    """RFC 7946, sections 3.1.6 and 4."""
    features = a_map("01", "56").geojson("vi")["features"]

    named = {each["id"]: (each["properties"]["name_vi"], each["properties"]["name_en"]) for each in features}
    assert named["01"] == ("Thành phố Hà Nội", "Hà Nội City")
    assert named["56"] == ("Tỉnh Khánh Hòa", "Khánh Hòa Province")
    for feature in features:
        for outer, *holes in feature["geometry"]["coordinates"]:
            assert _turn(outer) > 0, feature["id"]
            assert all(_turn(hole) < 0 for hole in holes)
            assert all(100 < east < 120 and 6 < north < 24 for east, north in outer)


def _turn(ring: list[list[float]]) -> float:
    """Twice the signed area: positive when the ring goes counter-clockwise."""
    assert ring[0] == ring[-1]
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))


def test_a_search_leaves_provinces_out_of_the_map_and_of_its_table_alike():
    found = a_map("01", "48", "56").matching(wanted("khanh hoa"))

    assert found.codes == ("56",)
    assert found.figures() == {"56": 56.0}
    assert len(found.sheet.rows) == 1


def test_there_is_no_map_before_the_34_provinces():
    for draw in (lambda shown: shown.geojson("vi"), lambda shown: shown.specification("vi")):
        with pytest.raises(NoPicture) as raised:
            draw(a_map("01", day=date(2025, 6, 30)))
        assert raised.value.kind == "no-picture"


async def test_a_drawing_is_made_once_for_many_and_again_after_it_failed():
    made: list[str] = []

    async def draw(specification: Mapping[str, Any], numbers: Mapping[str, object], ending: Ending) -> bytes:
        made.append(str(specification["name"]))
        if len(made) == 1:
            raise RuntimeError("no sandbox")
        return ending.encode()

    drawings = Drawings(draw)
    with pytest.raises(RuntimeError):
        await drawings.picture(("a",), lambda: {"name": "a"}, "vi", "svg")
    many = await asyncio.gather(*(drawings.picture(("a",), lambda: {"name": "a"}, "vi", "svg") for _ in range(5)))
    for number in range(MOST_KEPT + 1):
        await drawings.picture((number,), lambda: {"name": "b"}, "vi", "png")
    await drawings.picture(("a",), lambda: {"name": "a"}, "vi", "svg")

    assert many == [b"svg"] * 5
    assert made == ["a", "a", *["b"] * (MOST_KEPT + 1), "a"]  # the oldest gave way


def members() -> tuple[Member, ...]:
    commune = replace(a_member(THUY_NGUYEN), kind="commune", parent=HAI_PHONG)
    return (a_member(HAI_PHONG), commune, a_member(DA_NANG))


def test_connected_is_who_is_open_and_has_a_node():
    node = replace(a_node(), id=NodeId("nut-h24"), members=(HAI_PHONG,))
    both = replace(node, members=(HAI_PHONG, THUY_NGUYEN))

    def of(listed: Listed) -> dict[str, Any]:
        return {each.code: each for each in coverage(listed, DAY)}

    one, two = of(Listed(members(), (node,), AT)), of(Listed(members(), (both,), AT))
    closed = tuple(replace(each, state="closed", closed_on=DAY) if each.id == HAI_PHONG else each for each in members())

    assert len(one) == 34
    assert (one["31"].committee, one["48"].committee, one["01"].committee) == (CONNECTED, NO_NODE, NO_MEMBER)
    assert (one["31"].members, one["31"].connected, one["31"].share) == (2, 1, 1)
    assert (two["31"].connected, one["48"].connected, one["48"].share) == (2, 0, 0)
    assert one["31"].bodies == 115  # 114 communes (Nghị quyết 1669/NQ-UBTVQH15) and the city's own committee
    assert of(Listed(closed, (both,), AT))["31"].committee is NO_MEMBER
    assert sum(each.bodies for each in one.values()) == 3321 + 34


async def test_the_page_tells_the_coverage_on_a_day_also_before_the_map_begins():
    async def read(day: date) -> Listed:
        return Listed(members() if day >= date(2026, 1, 1) else (), (replace(a_node(), members=(HAI_PHONG,)),), AT)

    async def draw(specification: Mapping[str, Any], numbers: Mapping[str, object], ending: Ending) -> bytes:
        raise Problem("never asked")

    app = Starlette(routes=create_portal(sample.SampleData(), Shell(secret=b"k" * 32), (coverage_pages(read, draw),)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://portal.example") as client:
        page = await client.get("/en/coverage", params={"q": "hai duong", "day": "2026-11-01"})
        old = await client.get("/coverage", params={"day": "2020-01-01"})
        told = (await client.get("/v1/coverage", params={"q": "31", "day": "2026-11-01"})).json()["rows"]
        before = (await client.get("/v1/coverage", params={"day": "2025-12-31", "per_page": "100"})).json()["rows"]
        map_ = (await client.get("/maps/coverage.en.geojson", params={"q": "hai duong"})).json()

    assert "Hải Phòng City" in page.text
    assert "/maps/coverage.en.svg?q=hai+duong&amp;day=2026-11-01&amp;" in page.text
    assert "NĐ 278/2025/NĐ-CP, Đ24" in page.text
    assert "/maps/coverage" not in old.text
    assert "278/2025" not in old.text
    assert [(row["committee"], row["connected"]) for row in told] == [("connected", 1)]
    assert len(before) == 34
    assert {row["connected"] for row in before} == {0}
    assert [each["id"] for each in map_["features"]] == ["31", "hoang-sa", "truong-sa"]
    assert map_["features"][0]["properties"]["share"] == 1
