"""The chain of revisions, and the rights they give."""

from __future__ import annotations

import importlib

import pytest

from lienthong.storage.migrations.grants import grant
from lienthong.storage.migrations.runner import revisions


def test_every_revision_follows_the_one_before_it_in_the_order_of_file_names():
    modules = [importlib.import_module(f"lienthong.storage.migrations.versions.{stem}") for stem in revisions()]

    assert [module.revision for module in modules] == list(revisions())
    assert [module.down_revision for module in modules] == [None, *revisions()[:-1]]


class Written:
    """Collects statements instead of running them."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def execute(self, sqltext: str) -> None:
        self.statements.append(sqltext)


def test_a_role_without_rights_is_not_named():
    written = Written()

    grant(written, "record", app="SELECT")

    assert len(written.statements) == 1
    assert "GRANT SELECT ON record" in written.statements[0]
    assert "_app" in written.statements[0]


@pytest.mark.parametrize(
    ("relation", "rights"), [("record; DROP TABLE x", "SELECT"), ("record", "ALL"), ("record", "SELECT ON x TO PUBLIC")]
)
def test_only_plain_names_and_rights_are_granted(relation, rights):
    with pytest.raises(ValueError, match="not a"):
        grant(Written(), relation, app=rights)
