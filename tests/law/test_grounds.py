"""Legal grounds and the vocabulary of purposes."""

from __future__ import annotations

from datetime import date

import pytest

from lienthong.law.grounds import GroundInvalid, ground_rules, read_ground
from lienthong.law.purposes import DPV_PURPOSES, PurposeTermUnknown, check_purpose_term, purpose_term_title

TODAY = date(2026, 11, 22)


def test_every_kind_of_ground_is_read() -> None:
    assert read_ground("law:278/2025/NĐ-CP", TODAY).title("en") == "Required or allowed by law: 278/2025/NĐ-CP"
    assert read_ground("consent", TODAY).needs_consent
    assert not read_ground("contract", TODAY).needs_consent
    assert read_ground("vital", TODAY).detail is None
    assert read_ground("emergency:disaster", TODAY).title("vi").endswith(": Thảm họa")


def test_the_emergency_cases_are_the_four_of_the_data_law() -> None:
    (emergency,) = [rule for rule in ground_rules() if rule.kind == "emergency"]
    assert set(emergency.cases) == {"state-of-emergency", "threat", "disaster", "riot-terrorism"}


@pytest.mark.parametrize(
    "code",
    [
        "",
        "law",
        "law:",
        "law: x",
        "consent:yes",
        "emergency",
        "emergency:flood",
        "LAW:1",
        "habit",
        "vital ",
        "contract\n",
    ],
)
def test_any_other_text_is_refused(code: str) -> None:
    with pytest.raises(GroundInvalid):
        read_ground(code, TODAY)


def test_a_ground_rests_on_the_law_of_its_day() -> None:
    assert read_ground("consent", date(2025, 12, 31)).rule.legal_basis == "NĐ 13/2023/NĐ-CP, Đ11"
    assert read_ground("consent", date(2026, 1, 1)).rule.legal_basis == "Luật 91/2025/QH15, Đ9"
    with pytest.raises(GroundInvalid):
        read_ground("emergency:disaster", date(2025, 6, 30))
    for rule in ground_rules():
        assert rule.legal_basis
        assert rule.title_vi
        assert rule.title_en


def test_purpose_terms_are_those_of_the_vocabulary() -> None:
    for term in DPV_PURPOSES:
        assert check_purpose_term(term) == term
        assert purpose_term_title(term, "en")
    with pytest.raises(PurposeTermUnknown):
        check_purpose_term("dpv:Curiosity")
    assert purpose_term_title("dpv:Curiosity", "en") == "dpv:Curiosity"
