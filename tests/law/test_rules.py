"""Legal values are dated entries that show where they stand, and change without a change of code."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from lienthong.law.agencies import present_agency
from lienthong.law.rules import UNIT_WORDS, UNITS, RulesInvalid, RuleUnknown, read_rule_book, rule, shipped_rules

TODAY = date(2026, 11, 22)

OWN_ENTRY = """
[[rule]]
name = "account-answer"
value = 3
unit = "working days"
vi = "Thời hạn trả lời yêu cầu cấp tài khoản kết nối"
en = "Time to answer a request for a connection account"
legal_basis = "TT 99/2027/TT-BCA, Đ4"
valid_from = 2027-01-01
verified = true
"""


def test_r99_a_dated_entry_changes_a_value_from_its_day_on_without_code(tmp_path: Path) -> None:
    own = tmp_path / "rules.toml"
    own.write_text(OWN_ENTRY, "utf-8")
    book = read_rule_book(own)
    assert rule("account-answer", date(2026, 12, 31), book).whole() == 2
    changed = rule("account-answer", date(2027, 1, 1), book)
    assert (changed.whole(), changed.legal_basis) == (3, "TT 99/2027/TT-BCA, Đ4")
    before = rule("account-answer", date(2026, 12, 31), book)
    assert before.valid_to == date(2026, 12, 31)


def test_r99_a_passing_exception_ends_and_the_shipped_value_returns(tmp_path: Path) -> None:
    own = tmp_path / "rules.toml"
    own.write_text(OWN_ENTRY + "valid_to = 2027-01-31\n", "utf-8")
    book = read_rule_book(own)
    days = (date(2026, 12, 31), date(2027, 1, 15), date(2027, 2, 1))
    assert [rule("account-answer", day, book).whole() for day in days] == [2, 3, 2]


def test_r99_the_recipient_of_the_yearly_report_follows_the_reform_of_ministries(tmp_path: Path) -> None:
    assert rule("strategy-report-recipient", date(2024, 12, 30)).text() == "G14"
    recipient = rule("strategy-report-recipient", TODAY).text()
    assert present_agency(recipient, TODAY).name_vi == "Bộ Khoa học và Công nghệ"
    own = tmp_path / "rules.toml"
    text = OWN_ENTRY.replace("account-answer", "strategy-report-recipient").replace("value = 3", 'value = "G01"')
    own.write_text(text.replace("working days", "agency"), "utf-8")
    moved = rule("strategy-report-recipient", date(2027, 6, 1), read_rule_book(own)).text()
    assert present_agency(moved, TODAY).name_vi == "Bộ Công an"


def test_r100_every_value_shows_its_basis_its_days_and_whether_the_text_was_read() -> None:
    book = shipped_rules()
    for name in book.names():
        for entry in book.history(name):
            for language in ("vi", "en"):
                shown = entry.basis_shown(language)
                assert shown.startswith(entry.legal_basis + "; ")
                assert entry.valid_from.strftime("%d/%m/%Y") in shown
                assert entry.title(language)
                assert entry.shown(language)
            assert ("not verified" in entry.basis_shown("en")) != entry.verified


def test_r100_a_value_is_shown_with_its_unit_and_basis() -> None:
    entry = rule("account-answer", date(2025, 9, 1))
    assert entry.shown("en") == "2 working days"
    assert entry.basis_shown("en") == (
        "NĐ 47/2020/NĐ-CP, Đ35 k3, sửa đổi bởi NĐ 194/2025/NĐ-CP; in force from 19/08/2025 to 21/10/2025"
    )
    assert rule("connection-deadline", TODAY).shown("en") == "31/12/2026"


def test_the_values_the_program_leans_on_are_in_force() -> None:
    assert rule("connection-deadline", TODAY).day() == date(2026, 12, 31)
    assert rule("default-sharing-review", TODAY).whole() == 6
    assert [rule(f"routing-{name}", TODAY).text() for name in ("open", "shared", "private")] == [
        "direct",
        "observed",
        "direct",
    ]
    levels = [rule(f"log-retention-level-{level}", TODAY).whole() for level in range(1, 6)]
    assert levels == sorted(levels)
    assert (levels[1], levels[4]) == (1, 12)


def test_a_value_is_in_force_without_gaps_from_its_first_day() -> None:
    book = shipped_rules()
    for name in book.names():
        entries = book.history(name)
        for earlier, later in pairwise(entries):
            assert earlier.valid_to is not None
            assert later.valid_from == earlier.valid_to + timedelta(days=1)


def test_a_value_before_its_first_day_or_unknown_is_refused() -> None:
    with pytest.raises(RuleUnknown):
        rule("connection-deadline", date(2025, 10, 21))
    with pytest.raises(RuleUnknown) as refused:
        rule("no-such-value", TODAY)
    assert refused.value.mend


def test_a_value_of_another_kind_is_refused() -> None:
    with pytest.raises(RulesInvalid):
        rule("connection-deadline", TODAY).whole()
    with pytest.raises(RulesInvalid):
        rule("account-answer", TODAY).text()
    with pytest.raises(RulesInvalid):
        rule("routing-open", TODAY).day()


@pytest.mark.parametrize(
    "text",
    [
        "not toml [",
        "answer = 3",
        "rule = 3",
        OWN_ENTRY.replace("legal_basis", "basis"),
        OWN_ENTRY.replace('legal_basis = "TT 99/2027/TT-BCA, Đ4"', 'legal_basis = " "'),
        OWN_ENTRY.replace("verified = true", 'verified = "yes"'),
        OWN_ENTRY.replace("value = 3", "value = 3.5"),
        OWN_ENTRY.replace("value = 3", "value = true"),
        OWN_ENTRY.replace("working days", "fortnights"),
        OWN_ENTRY.replace("account-answer", "Account Answer"),
        OWN_ENTRY.replace("2027-01-01", "2027-01-01T00:00:00"),
        OWN_ENTRY + "valid_to = 2026-01-01\n",
        OWN_ENTRY + OWN_ENTRY,
    ],
)
def test_a_file_that_is_not_a_list_of_dated_values_is_refused(tmp_path: Path, text: str) -> None:
    own = tmp_path / "rules.toml"
    own.write_text(text, "utf-8")
    with pytest.raises(RulesInvalid):
        read_rule_book(own)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RulesInvalid):
        read_rule_book(tmp_path / "absent.toml")


def test_every_countable_unit_has_words() -> None:
    assert set(UNITS) - set(UNIT_WORDS) == {"day", "day of the year", "routing", "agency"}
