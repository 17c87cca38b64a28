"""Reading the reference data that ships with the package: tab-separated text built by ``tools/``, one file one table.

A file is read when a question first needs it and kept as text lines; values are made only for the rows asked about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class LegalBasis:
    """A legal text and the day it was issued, the day from which what it says could be known."""

    citation: str
    issued: date


def rows(name: str) -> Iterator[list[str]]:
    """The fields of each row of ``name`` (without ``.tsv``), header left out; all text, leading zeros kept."""
    for line in _lines(name):
        yield line.split("\t")


@cache
def lines_by_code(name: str) -> dict[str, list[str]]:
    """The raw rows of ``name`` under their first field, in file order."""
    found: dict[str, list[str]] = {}
    for line in _lines(name):
        found.setdefault(line[: line.index("\t")], []).append(line)
    return found


@cache
def legal_bases() -> dict[str, LegalBasis]:
    """Id used in the tables -> legal text."""
    return {key: LegalBasis(citation, date.fromisoformat(issued)) for key, citation, issued in rows("legal_bases")}


@cache  # a few dozen days stand in all tables
def day_or_none(text: str) -> date | None:
    """The ISO date in ``text``, None for an empty field."""
    return date.fromisoformat(text) if text else None


def _lines(name: str) -> list[str]:
    return (FOLDER / f"{name}.tsv").read_text("utf-8").splitlines()[1:]
