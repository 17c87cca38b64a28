"""Keys of Vietnamese text: what folds together, what sorts before what, what hostile input does not change."""

from __future__ import annotations

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.law.text import fold, placed_tones, sort_key, visible

IN_ORDER = [
    "2 tháng 9",
    "An Bình",
    "An Giang",
    "Ăn Chay",
    "Ân Thi",
    "Ba",
    "Bà",
    "Bả",
    "Bã",
    "Bá",
    "Bạ",
    "Ba Đình",
    "Bà Rịa",
    "Bắc Ninh",
    "Bằng",
    "Bến Tre",
    "Cà Mau",
    "Cao Bằng",
    "Da",
    "Dương",
    "Đà Nẵng",
    "Đắk Lắk",
    "Điện Biên",
    "E",
    "Ê",
    "Gia Lai",
    "Hà Nội",
    "Hòa",
    "Hỏa",
    "Hóa",
    "Huế",
    "Khánh Hòa",
    "La",
    "Lâm Đồng",
    "Nghệ An",
    "On",
    "Ôn",
    "Ơn",
    "Quảng Ngãi",
    "Quảng Ninh",
    "Quảng Trị",
    "Thái Nguyên",
    "Thanh Hóa",
    "Uyên",
    "Ước",
    "Vĩnh Long",
    "Yên Bái",
]


def test_names_sort_as_a_vietnamese_dictionary_does() -> None:
    shuffled = IN_ORDER.copy()
    random.Random(7).shuffle(shuffled)
    assert sorted(shuffled, key=sort_key) == IN_ORDER


def test_tones_decide_only_between_equal_letters() -> None:
    assert sort_key("bà con") < sort_key("ba lô") < sort_key("bá vai")
    assert sort_key("ba") < sort_key("Ba") < sort_key("bà")


def test_decomposed_text_sorts_and_folds_like_composed_text() -> None:
    for name in IN_ORDER:
        decomposed = unicodedata.normalize("NFD", name)
        assert sort_key(decomposed) == sort_key(name)
        assert fold(decomposed) == fold(name)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Thành phố Đồng Nai", "thanh pho dong nai"),
        ("  ĐẮK\u00a0 LẮK ", "dak lak"),
        ("Thừa Thiên Huế", "thua thien hue"),
        ("Đồng\u200b Nai\u202e", "dong nai"),
        ("\ufeffHà\u200f Nội", "ha noi"),
        ("Đạ M'ri", "da m'ri"),
        ("ＨÀ ＮỘＩ", "ha noi"),
        ("", ""),
        ("\u200b\u202e", ""),
    ],
)
def test_a_name_folds_to_its_plain_letters(text: str, key: str) -> None:
    assert fold(text) == key


@pytest.mark.parametrize("other", ["Hoà Bình", "hòa bình", "HÒA  BÌNH", "Hoa\u0300 Bi\u0300nh", "Hòa\u200d Bình"])
def test_spellings_of_one_name_fold_alike(other: str) -> None:
    assert fold(other) == fold("Hòa Bình")


@pytest.mark.parametrize("hidden", ["\u200b", "\u200d", "\u200e", "\u202e", "\u2066", "\ufeff", "\x00", "\u00ad"])
def test_characters_nobody_sees_change_neither_key(hidden: str) -> None:
    assert fold(f"Hải{hidden} Phòng{hidden}") == "hai phong"
    assert sort_key(f"Hải{hidden} Phòng") == sort_key("Hải Phòng")
    assert visible(f"Hải{hidden} Phòng") == "Hải Phòng"


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_any_text_has_the_keys_of_its_compositions(text: str) -> None:
    for form in ("NFC", "NFD"):
        assert sort_key(unicodedata.normalize(form, text)) == sort_key(text)  # type: ignore[arg-type]
        assert fold(unicodedata.normalize(form, text)) == fold(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "placed"),
    [
        ("Hoà Bình", "Hòa Bình"),
        ("Thuỷ", "Thủy"),
        ("khoẻ", "khỏe"),
        ("UỶ BAN", "ỦY BAN"),
        ("Uỷ ban", "Ủy ban"),
        ("Quý", "Quý"),
        ("quỳ", "quỳ"),
        ("hoàn thuyền", "hoàn thuyền"),
        ("Hòa Bình", "Hòa Bình"),
        ("Hoà-Vang", "Hòa-Vang"),
    ],
)
def test_the_tone_of_an_open_pair_stands_on_its_first_vowel(written: str, placed: str) -> None:
    assert placed_tones(written) == placed
    assert placed_tones(unicodedata.normalize("NFD", written)) == placed
