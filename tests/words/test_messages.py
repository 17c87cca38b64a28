"""Every word people read is in both catalogues, says the same facts, and is still used."""

from __future__ import annotations

from pathlib import Path

import pytest

from lienthong.i18n import translate
from tools import messages

SAMPLE = """
from lienthong.i18n import T
A = T("One {thing}.")
B = T("Two " "halves.")
C = T(name)
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "portal" / "templates"
    folder.mkdir(parents=True)
    (tmp_path / "module.py").write_text(SAMPLE)
    (folder / "page.html").write_text('{% macro m() %}{{ t("In a macro") }}{% endmacro %}\n{{ other("no") }}{{ t(x) }}')
    return tmp_path


def test_both_catalogues_are_complete_and_hold_nothing_else():
    assert messages.faults() == []


def test_messages_are_found_in_python_and_in_pages_and_unreadable_markers_are_reported(source: Path):
    found = {(entry.message, entry.place) for entry in messages.found_messages(source)}

    assert found == {
        ("One {thing}.", "module.py:3"),
        ("Two halves.", "module.py:4"),
        (None, "module.py:5"),
        ("In a macro", "portal/templates/page.html:1"),
        (None, "portal/templates/page.html:2"),
    }


def test_a_missing_an_unused_and_a_lying_translation_are_named(source: Path, monkeypatch: pytest.MonkeyPatch):
    (source / "module.py").write_text('T("One {thing}.")\nT("New")')
    (source / "portal" / "templates" / "page.html").write_text("")
    for language in messages.LANGUAGES:
        entries = {"One {thing}.": "Một {vật}.", "Old": "Cũ"}
        messages.write_catalogue(messages.catalogue_path(language, source), language, entries)

    said = messages.faults(source)

    assert "vi: no translation of 'New' (module.py:2)" in said
    assert "vi: nothing says 'Old' any more" in said
    assert "vi: 'One {thing}.' and its translation name different facts" in said


def test_a_catalogue_reads_back_as_it_was_written(tmp_path: Path):
    entries = {'He said "no" \\ and\nleft': "Ông ấy nói “không”\tvà đi", "b": ""}
    path = tmp_path / "vi" / "lienthong.po"

    messages.write_catalogue(path, "vi", entries)

    assert messages.read_catalogue(path) == entries


def test_the_program_speaks_vietnamese_by_default_and_english_on_request():
    assert translate("Synthetic data", "vi") == "Dữ liệu giả lập"
    assert translate("Synthetic data", "en") == "Synthetic data"
    assert translate("at most {count} uses a day", "vi", count="10.000") == "tối đa 10.000 lần mỗi ngày"


def test_a_word_nobody_translated_is_shown_as_it_stands():
    assert translate("Never heard of {this}", "vi", this=1) == "Never heard of 1"
