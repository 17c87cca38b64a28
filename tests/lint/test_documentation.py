"""What a person may set, run or meet is in the documentation."""

from __future__ import annotations

import re
from dataclasses import fields

from lienthong.cli.app import COMMANDS
from lienthong.config import Client, Settings
from tests.lint.source import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_setting_is_in_the_operating_guide():
    guide = (ROOT / "docs" / "operating.md").read_text("utf-8")
    missing = [field.name for kind in (Settings, Client) for field in fields(kind) if f"`{field.name}`" not in guide]

    assert not missing, f"docs/operating.md does not name {missing}"


def test_every_command_is_shown_somewhere():
    shown = "\n".join(document.read_text("utf-8") for document in DOCUMENTS)
    missing = [name for name in COMMANDS if f"lienthong {name}" not in shown]

    assert not missing, f"no document shows: {missing}"


def test_every_link_between_documents_leads_somewhere():
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", document.read_text("utf-8"))
        if not (document.parent / target).exists()
    ]

    assert not broken, "\n" + "\n".join(broken)
