"""The table of requirements is complete and honest: every line names tests that exist, or says why it is not done."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "requirements.md"

_LINE = re.compile(r"\| (R-\d{2,3}) \| (.+?) \| (.*?) \|")
_TEST = re.compile(r"`([^`]+\.py)::([^`]+)`")
_NOT_DONE = re.compile(r"not done: \S.{15,}")
NAMES = [f"R-{number:02d}" for number in range(1, 101)]


def faults(text: str) -> list[str]:
    """What is wrong with a table of requirements, one sentence each."""
    found: dict[str, list[tuple[str, str]]] = {}
    wrong: list[str] = []
    for line in text.splitlines():
        if not line.startswith("| R-"):
            continue
        shape = _LINE.fullmatch(line)
        if shape is None:
            wrong.append(f"{line[:60]}: not a line of three cells")
            continue
        name, requirement, cell = shape.groups()
        found.setdefault(name, []).append((requirement, cell))
    wrong += [f"{name}: {len(found.get(name, []))} lines" for name in NAMES if len(found.get(name, [])) != 1]
    wrong += [f"{name}: no such requirement" for name in found.keys() - set(NAMES)]
    for name, lines in found.items():
        for requirement, cell in lines:
            wrong += [f"{name}: {fault}" for fault in _cell_faults(requirement, cell)]
    return wrong


def _cell_faults(requirement: str, cell: str) -> list[str]:
    wrong = [] if len(requirement) > 20 else ["says nothing"]
    tests = _TEST.findall(cell)
    if not tests and not _NOT_DONE.search(cell):
        wrong.append("names no test and no reason why it is not done")
    if cell.count("::") != len(tests):
        wrong.append("names a test in a form that is not `path.py::name`")
    return wrong + [f"{path}::{name} does not exist" for path, name in tests if name not in _tests_in(path)]


@cache
def _tests_in(path: str) -> frozenset[str]:
    file = ROOT / path
    if not path.startswith("tests/") or not file.is_file():
        return frozenset()
    return frozenset(re.findall(r"^\s*(?:async )?def (test_\w+)\(", file.read_text("utf-8"), re.MULTILINE))


def test_every_requirement_has_its_line_with_tests_that_exist_or_a_reason() -> None:
    assert faults(TABLE.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("was", "becomes", "fault"),
    [
        ("| R-42 |", "| R-41 |", "R-42: 0 lines"),
        ("| R-42 |", "| R-142 |", "R-142: no such requirement"),
        ("test_r14_a_tax_code_may_be_a_personal_number", "test_r14_none", "R-14: tests/law/test_identifiers"),
        ("tests/law/test_identifiers.py::test_r14_", "tests/law/absent.py::test_r14_", "R-14: tests/law/absent.py"),
        ("not done: services are published so far", "some day", "R-18: names no test"),
        ("not done: services are published so far", "not done: see", "R-18"),
        ("`tests/law/test_identifiers.py::test_r14_", "tests/law/test_identifiers.py::test_r14_", "R-14"),
    ],
)  # fmt: skip
def test_a_missing_line_an_absent_test_and_an_empty_promise_are_found(was: str, becomes: str, fault: str) -> None:
    text = TABLE.read_text("utf-8")
    spoiled = text.replace(was, becomes, 1)
    if becomes == "not done: see":
        spoiled = re.sub(r"not done: see[^|]*", "not done: see ", spoiled)
    assert spoiled != text
    assert any(found.startswith(fault) for found in faults(spoiled)), faults(spoiled)
