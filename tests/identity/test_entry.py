"""The ways in as configured; roles given by command."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lienthong.config import Settings, settings_from
from lienthong.identity.models import Assurance, Role
from lienthong.identity.persons import person_of
from lienthong.identity.queries import proposals_of
from lienthong.identity.roles import give_by_command
from lienthong.node.entry import NoProviderSecret, entrance_of
from lienthong.storage.keyring import Keyring
from tests.identity.build import HERE, NOW, a_person, approvals


def _local(folder: Path) -> Any:
    told = {
        "node": "nut", "data": str(folder), "members": [HERE], "public_url": "https://data.example.gov.vn",
        "identity_providers": [
            {"name": "vneid", "issuer": "https://id.example.gov.vn", "client_id": "nut", "levels": {"loa2": 2},
             "least": 2}
        ],
    }  # fmt: skip
    settings: Settings = settings_from(told, folder / "lienthong.toml")
    return cast(Any, SimpleNamespace(settings=settings, keyring=Keyring(folder), pool=None))


def test_a_provider_needs_its_secret_in_a_file_and_is_then_known(tmp_path: Path):
    local = _local(tmp_path)
    with pytest.raises(NoProviderSecret):
        entrance_of(local)
    (tmp_path / "secrets" / "oidc-vneid").write_text("bí mật\n", "utf-8")

    provider = entrance_of(local).providers["vneid"]

    assert provider.client_secret == "bí mật"
    assert provider.callback == "https://data.example.gov.vn/login/with/vneid/back"
    assert (provider.least, provider.levels, provider.audience) == (Assurance.TWO_FACTORS, {"loa2": 2}, "citizens")


async def test_the_first_two_operators_come_by_command_and_then_an_operator_must_agree(db):
    for login in ("mot", "hai"):
        person = await a_person(db, login)
        assert await give_by_command(db, approvals(), person, Role.OPERATOR, national=False, now=NOW) is None
    third = await a_person(db, "ba")

    waits = await give_by_command(db, approvals(), third, Role.OPERATOR, national=False, now=NOW)

    assert waits is not None
    assert [each.id for each in await proposals_of(db, HERE, 9)] == [waits.id]
    assert (await person_of(db, third.id, HERE)).roles == frozenset()
