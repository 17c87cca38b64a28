"""Ids: what is one, what is not, and which parts it has."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lienthong.directory import models
from lienthong.directory.models import IdMalformed, class_of, member_of, system_of

GOOD: list[tuple[Callable[[str], str], str]] = [
    (models.read_member_id, "VN/GOV/G01"),
    (models.read_member_id, "VN/GOV/H31.12.5A"),
    (models.read_member_id, "VN/COM/0100109106"),
    (models.read_member_id, "VN/COM/0100109106-001"),
    (models.read_member_id, "VN/EDU/BKA"),
    (models.read_member_id, "EE/GOV/A00"),
    (models.read_system_id, "VN/GOV/G01/dancu"),
    (models.read_system_id, "VN/GOV/G01/dan-cu.2"),
    (models.read_service_id, "VN/GOV/G01/dancu/citizen"),
    (models.read_dataset_id, "VN/GOV/G01/dancu/ds/citizen"),
    (models.read_target_id, "VN/GOV/G01/dancu/ds/citizen"),
    (models.read_target_id, "VN/GOV/G01/dancu/citizen"),
    (models.read_node_id, "nut-g01"),
    (models.read_purpose_code, "HP-DATDAI.01"),
]
BAD: list[tuple[Callable[[str], str], str]] = [
    # agency codes
    (models.read_member_id, "VN/GOV/g01"),
    (models.read_member_id, "VN/GOV/G1"),
    (models.read_member_id, "VN/GOV/G01 "),
    (models.read_member_id, "VN/GOV/Đ01"),
    (models.read_member_id, "VN/GOV/G01."),
    (models.read_member_id, "VN/GOV/G01." + "1" * 32),
    (models.read_member_id, "VN/GOV/0100109106"),
    (models.read_member_id, "VN/NGO/G01"),
    (models.read_member_id, "VN/GOV/G01/dancu"),
    (models.read_member_id, "VN/GOV/G01\n"),
    (models.read_member_id, ""),
    (models.read_system_id, "VN/GOV/G01"),
    (models.read_system_id, "VN/GOV/G01/"),
    (models.read_system_id, "VN/GOV/G01/.."),
    (models.read_system_id, "VN/GOV/g01/dancu"),
    (models.read_service_id, "VN/GOV/G01/dancu"),
    (models.read_service_id, "VN/GOV/G01/dancu/ds"),
    (models.read_service_id, "VN/GOV/G01/dancu/a/b"),
    (models.read_service_id, "VN/GOV/G01/dancu/a%2Fb"),
    (models.read_dataset_id, "VN/GOV/G01/dancu/xs/citizen"),
    (models.read_target_id, "VN/GOV/G01/dancu"),
    (models.read_node_id, "Nut"),
    (models.read_node_id, "-nut"),
    (models.read_purpose_code, "mục đích"),
    (models.read_purpose_code, "a" * 65),
]


@pytest.mark.parametrize(("read", "text"), GOOD)
def test_an_id_of_the_right_shape_is_read(read: Callable[[str], str], text: str) -> None:
    assert read(text) == text


@pytest.mark.parametrize(("read", "text"), BAD)
def test_a_text_of_another_shape_is_refused_with_an_example(read: Callable[[str], str], text: str) -> None:
    with pytest.raises(IdMalformed) as refused:
        read(text)

    assert refused.value.facts["example"]


def test_the_parts_of_an_id() -> None:
    for text in ("VN/GOV/G01/dancu", "VN/GOV/G01/dancu/citizen", "VN/GOV/G01/dancu/ds/citizen"):
        assert class_of(text) == "VN/GOV"
        assert member_of(text) == "VN/GOV/G01"
        assert system_of(text) == "VN/GOV/G01/dancu"
