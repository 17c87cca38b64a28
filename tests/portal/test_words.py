"""Facts as people read them, in both languages."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from lienthong.agreements import models as agreed
from lienthong.i18n import Language, translate
from lienthong.portal import words
from lienthong.portal.models import FilterLine

LATE = datetime(2026, 11, 22, 18, 4, 9, 500_000, tzinfo=UTC)


def test_times_are_told_in_viet_nams_zone_even_across_midnight():
    assert words.moment(LATE, "vi") == "01:04:09 23/11/2026"
    assert words.moment(LATE, "en") == "01:04:09, 23 Nov 2026"
    assert words.day(LATE, "vi") == "23/11/2026"


def test_a_bare_day_is_told_as_it_is():
    assert words.day(date(2026, 3, 5), "vi") == "05/03/2026"
    assert words.day(date(2026, 3, 5), "en") == "5 Mar 2026"


@pytest.mark.parametrize(
    ("value", "vi", "en"),
    [(0, "0", "0"), (999, "999", "999"), (20_000, "20.000", "20,000"), (-1_234, "-1.234", "-1,234")],
)
def test_numbers_are_grouped_as_each_language_does(value: int, vi: str, en: str):
    assert (words.number(value, "vi"), words.number(value, "en")) == (vi, en)


@pytest.mark.parametrize(
    ("size", "vi"), [(0, "0 B"), (999, "999 B"), (2_100, "2,1 KB"), (3_400_000, "3,4 MB"), (5 * 10**9, "5,0 GB")]
)
def test_sizes_have_one_decimal_at_most(size: int, vi: str):
    assert words.size(size, "vi") == vi
    assert words.size(size, "en") == vi.replace(",", ".")


@pytest.mark.parametrize(
    ("duration", "told"),
    [("P30D", "30 days"), ("PT72H", "72 hours"), ("P6M", "6 months"), ("P5Y", "5 years"), ("P1W", "P1W"), ("x", "x")],
)
def test_periods_are_told_in_words_and_unknown_ones_as_they_stand(duration: str, told: str):
    assert words.period(duration, "en") == told


def test_a_digest_is_shortened_with_or_without_its_algorithm():
    assert words.short("sha-256:0123456789abcdef") == words.short("0123456789abcdef") == "0123456789ab"


def test_a_row_filter_reads_as_a_sentence():
    assert words.condition(FilterLine("province_code", "in", ("31", "22")), "en") == "province_code is one of 31, 22"
    assert words.condition(FilterLine("x", "like", ("y",)), "en") == "x like y"


@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_term_an_agreement_can_hold_has_words(language: Language):
    terms = (
        (words.WAYS, agreed.WAYS),
        (words.MASKS, agreed.MASKS),
        (words.OPERATORS, agreed.ROW_OPERATORS),
        (words.CLAUSES, agreed.CLAUSES),
        (words.OBLIGATIONS, ("delete-after", "cite-source", "notify-breach")),
        (words.FORBIDDEN, ("use", "distribute", "reidentify")),
    )
    for table, keys in terms:
        for key in keys:
            assert words.word(table, key, language) == translate(table[key], language)


@pytest.mark.parametrize("address", ["/records/1", "http://127.0.0.1:8080/", "https://nut.example/agreements/1?x=1"])
def test_a_link_to_a_page_stays_in_vietnamese_and_gets_a_prefix_in_english(address: str):
    assert words.page_link(address, "vi") == address
    assert words.page_link(address, "en").count("/en/") == 1


@pytest.mark.parametrize(
    "address", ["", None, "javascript:alert(1)", "data:text/html,x", "//elsewhere.example/", "/\\elsewhere", "ftp://x/"]
)
def test_an_address_that_could_do_harm_is_no_link(address: str | None):
    assert words.safe_link(address) == ""
    assert words.page_link(address, "en") == ""
