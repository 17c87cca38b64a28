"""The list of problems tells what the source does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import problems

DECLARED = """
class Problem(Exception):
    kind = "internal"
    status = 500
    side = "node"
    title = T("The node failed")
"""
RAISED = '''
from lienthong.errors import Problem as Base

class Broken(Base):
    """It broke.

    More about it.
    """
    kind = "broken"
    title = T("Broken")

class BrokenMore(Broken):
    """It broke | more."""
    kind = "broken-more"
    side = "caller"

class Unrelated:
    kind = "no-problem"

def fail(worse):
    raise Broken(T("Why."), mend=T("Mend {it}.") if worse else T("Wait."), it=1)

ROWS = {"a": (BrokenMore, T("Why."), T("Ask."))}
'''


def test_the_list_of_problems_says_what_the_source_says():
    written = problems.LIST.read_text(encoding="utf-8")

    assert written == problems.page(problems.problem_kinds()), "python tools/problems.py --write"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "errors.py").write_text(DECLARED)
    (tmp_path / "module.py").write_text(RAISED)
    return tmp_path


def test_kinds_are_read_with_what_they_inherit_and_what_their_raisers_tell_people_to_do(source: Path):
    found = {kind.kind: kind for kind in problems.problem_kinds(source)}

    assert set(found) == {"internal", "broken", "broken-more"}
    assert (found["broken"].status, found["broken"].side, found["broken"].meaning) == (500, "node", "It broke.")
    assert found["broken"].mends == ("Mend {it}.", "Wait.")
    assert (found["broken-more"].title, found["broken-more"].side) == ("Broken", "caller")
    assert found["broken-more"].mends == ("Ask.",)


def test_a_row_of_the_list_stays_one_row(source: Path):
    row = next(line for line in problems.page(problems.problem_kinds(source)).splitlines() if "`broken-more`" in line)

    assert row.startswith("| `broken-more` | 500 | who asked")
    assert "broke \\| more" in row
    assert "Ask." in row
