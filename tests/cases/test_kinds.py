"""Kinds of case are dated data."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from lienthong.cases.kinds import NoSuchKind, kind_on, read_kinds, shipped_kinds
from lienthong.law.rules import RulesInvalid, rule

TODAY = date(2026, 11, 23)
FILE = Path("src/lienthong/cases/kinds.toml")


def test_every_kind_has_a_clock_in_force_a_legal_basis_and_a_way_to_an_end():
    for kind in shipped_kinds():
        names = {kind.answer, kind.act, kind.extension, *kind.matters.values()} - {""}

        assert kind.legal_basis
        assert {rule(name, TODAY).unit for name in names} <= {"hours", "days", "working days"}
        assert _reachable(kind) >= kind.flow.ends


def _reachable(kind) -> set[str]:
    found = {kind.flow.first}
    for _ in kind.flow.moves:
        found |= {move.target for move in kind.flow.moves if move.source in found}
    return found


def test_a_kind_is_none_before_its_law():
    assert kind_on("correction", date(2026, 9, 14)).name == "correction"
    with pytest.raises(NoSuchKind) as refused:
        kind_on("correction", date(2026, 9, 13))

    assert refused.value.kind == "no-such-case-kind"


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("open > in-hand : handler", "open > elsewhere : handler"),
        ("open > in-hand : handler", "open > in-hand : anybody"),
        ('handler = "decide-requests"', 'handler = "be-king"'),
        ('act = "account-answer"', 'act = ""'),
        ('flow = "request"', 'flow = "none"'),
        ('shown = "counts"', 'shown = "everything"'),
        ("[[kind]]", "[[kind"),
    ],
)
def test_a_file_with_a_fault_is_refused(tmp_path: Path, was: str, becomes: str):
    good = (Path(__file__).parents[2] / FILE).read_text("utf-8")
    file = tmp_path / "kinds.toml"
    file.write_text(good.replace(was, becomes, 1), "utf-8")

    assert was in good
    with pytest.raises(RulesInvalid):
        read_kinds(file)
