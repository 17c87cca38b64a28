"""``lienthong account`` on the node's machine: who is added by a provider, and that every change is in the audit."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lienthong.cli.account import app
from lienthong.identity.linking import LinkTaken
from lienthong.node.supervise import DATABASE_FILE
from lienthong.storage.provision import DatabaseDsns

PROVIDER = '[[identity_providers]]\nname = "so"\nissuer = "https://idp.vn"\nclient_id = "nut"\naudience = "staff"\n'


@pytest.fixture
def node(tmp_path: Path, database: DatabaseDsns) -> str:
    """The configuration of a node whose database is there, and which knows one provider for staff."""
    secrets = tmp_path / "data" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / DATABASE_FILE).write_text(json.dumps(asdict(database)), "utf-8")
    config = tmp_path / "node.toml"
    config.write_text(f'node = "nut-thu"\ndata = "{tmp_path / "data"}"\nmembers = ["VN/GOV/H24"]\n{PROVIDER}', "utf-8")
    return str(config)


def account(node: str, *words: str) -> Result:
    """Run ``lienthong account``."""
    return CliRunner().invoke(app, [*words, "--config", node])


def test_a_person_is_added_with_one_subject_of_a_provider_and_nobody_else_gets_it(node: str):
    assert account(node, "add", "Trần Thị Hoa", "--login", "hoa", "--provider", "so", "--subject", "a1").exit_code == 0
    taken = account(node, "add", "Lê Văn Nam", "--login", "nam", "--provider", "so", "--subject", "a1")

    assert isinstance(taken.exception, LinkTaken)
    assert [each["login"] for each in json.loads(account(node, "list").stdout)] == ["hoa"]
    assert [each["act"] for each in json.loads(account(node, "audit").stdout)] == ["provider.linked", "person.added"]


@pytest.mark.parametrize("words", [["--provider", "la", "--subject", "a1"], ["--provider", "so"], ["--subject", "a1"]])
def test_half_a_provider_or_an_unknown_one_adds_nobody(node: str, words: list[str]):
    assert account(node, "add", "Trần Thị Hoa", "--login", "hoa", *words).exit_code == 2
    assert json.loads(account(node, "list").stdout) == []


def test_a_person_is_found_by_the_login_as_it_is_typed_to_sign_in(node: str):
    assert account(node, "add", "Trần Thị Hoa", "--login", "Hoa.Tran").exit_code == 0
    assert account(node, "link", " HOA.tran ", "--forget-passkeys").exit_code == 0
