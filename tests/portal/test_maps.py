"""Maps as pictures: each province told, Hoàng Sa and Trường Sa on every one in both languages."""

from __future__ import annotations

import json
from datetime import date
from typing import Any
from xml.etree import ElementTree

import pytest
import vl_convert

from lienthong.i18n import Language
from lienthong.law.shapes import map_of_provinces
from lienthong.portal.maps import map_specification

TODAY = date(2026, 11, 1)
FIGURES = {"01": 12.0, "31": 3.0, "48": 1234.5}
NAMES: dict[Language, tuple[str, str]] = {
    "vi": ("Quần đảo Hoàng Sa", "Quần đảo Trường Sa"),
    "en": ("Hoàng Sa Archipelago", "Trường Sa Archipelago"),
}
NOT_THEIRS = ("01", "31")


def a_map(
    language: Language, only: tuple[str, ...] | None = None, figures: dict[str, float] | None = None
) -> dict[str, Any]:
    return map_specification(
        FIGURES if figures is None else figures,
        TODAY, title="Kết nối", legend="Hệ thống", language=language,
        steps=(1, 5, 10, 100), only=only,
    )  # fmt: skip


def told(svg: str) -> list[str]:
    """What a screen reader hears of the surfaces."""
    marks = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")
    return [mark.get("aria-label", "") for mark in marks if mark.get("aria-roledescription") == "geoshape"]


@pytest.mark.parametrize("only", [None, NOT_THEIRS, ()], ids=["all", "others", "none"])
@pytest.mark.parametrize("language", ["vi", "en"])
def test_both_archipelagos_are_on_every_drawing(language: Language, only: tuple[str, ...] | None):
    svg = vl_convert.vegalite_to_svg(a_map(language, only))

    words = [text.text for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    for name, province in zip(NAMES[language], ("Thành phố Đà Nẵng", "Tỉnh Khánh Hòa"), strict=True):
        assert name in words
        assert f"({province})" in words
        assert [each for each in told(svg) if each.startswith(f"{name} ({province}): ")], name


@pytest.mark.parametrize("language", ["vi", "en"])
def test_both_archipelagos_are_in_every_picture_of_dots(language: Language):
    drawn = a_map(language, NOT_THEIRS)
    whole = vl_convert.vegalite_to_png(drawn)

    for inset in range(2):
        without = json.loads(json.dumps(drawn))
        without["hconcat"][1]["vconcat"][inset]["layer"][1]["mark"]["opacity"] = 0
        assert vl_convert.vegalite_to_png(without) != whole


def test_every_province_is_told_with_its_figure_or_that_there_is_none():
    heard = told(vl_convert.vegalite_to_svg(a_map("vi")))

    provinces = [
        each["properties"]["name"]
        for each in map_of_provinces(TODAY)["features"]
        if each["properties"]["kind"] == "province"
    ]
    assert {"Thành phố Hà Nội: 12", "Thành phố Hải Phòng: 3", "Thành phố Đà Nẵng: 1.234,5"} <= set(heard)
    assert {f"{name}: chưa có số liệu" for name in provinces} - set(heard) == {
        f"Thành phố {name}: chưa có số liệu" for name in ("Hà Nội", "Hải Phòng", "Đà Nẵng")
    }


def test_an_archipelago_has_the_figure_of_its_province():
    assert "Hoàng Sa Archipelago (Thành phố Đà Nẵng): 1,234.5" in told(vl_convert.vegalite_to_svg(a_map("en")))


@pytest.mark.parametrize("steps", [(1, 2, 3), (1, 2, 2, 3), (4, 3, 2, 1)])
def test_steps_that_do_not_rise_are_refused(steps: tuple[float, ...]):
    with pytest.raises(ValueError, match="rising"):
        map_specification({}, TODAY, title="", legend="", language="vi", steps=steps)
