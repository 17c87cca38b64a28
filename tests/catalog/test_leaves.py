"""The fields of an HTTP service from one of its answers."""

from __future__ import annotations

from typing import Any

import pytest

from lienthong.catalog.leaves import MOST_FIELDS, leaves_of
from lienthong.exchange.project import steps_of

ANSWER: dict[str, Any] = {
    "truong": [
        {"ma": "T1", "si_so": 300, "diem": 7, "mo": True, "ngay": "2020-09-05", "luc": "2026-01-02T03:04:05+07:00"},
        {"ma": 12, "si_so": None, "diem": 7.5, "mo": None, "hieu_truong": {"ho_ten": "Nguyễn Văn A"}},
    ],
    "Mã đơn vị": "H24",
    "rong": [],
}


def test_every_leaf_becomes_a_field_of_its_kind():
    fields, left_out = leaves_of(ANSWER)

    assert {field.name: field.type for field in fields} == {
        "$.truong[*].ma": "string",
        "$.truong[*].si_so": "integer",
        "$.truong[*].diem": "double",
        "$.truong[*].mo": "boolean",
        "$.truong[*].ngay": "date",
        "$.truong[*].luc": "timestamp",
        "$.truong[*].hieu_truong.ho_ten": "string",
        "$['Mã đơn vị']": "string",
    }
    assert not left_out
    assert all(steps_of(field.name) for field in fields)


def test_names_that_sound_like_persons_are_marked():
    fields, _ = leaves_of(ANSWER)

    assert [field.name for field in fields if field.personal] == ["$.truong[*].hieu_truong.ho_ten"]


@pytest.mark.parametrize(
    "answer", [{"a'b": 1}, {"a\\b": 1}, {"": 1}, {"a\nb": 1}, {"x" * 80: 1}, 7, "text", None, {"\u202ea": 1}]
)
def test_what_no_path_leads_to_is_left_out_and_said(answer: object):
    fields, left_out = leaves_of(answer)

    assert not fields
    assert left_out


def test_an_endless_answer_has_an_end():
    wide, deep = {f"f{index}": index for index in range(5_000)}, {}
    inner: dict[str, Any] = deep
    for _ in range(500):
        inner["a"] = inner = {}
    inner["end"] = 1

    fields, left_out = leaves_of(wide)

    assert len(fields) == MOST_FIELDS
    assert len(left_out) == 20
    assert leaves_of(deep)[0] == ()
