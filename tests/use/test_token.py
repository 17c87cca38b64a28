"""Members' keys in a PKCS#11 token (SoftHSM): calls are signed there, a key changes from a file to the token and on."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lienthong.config import load_settings
from lienthong.directory import changes
from lienthong.node import gateway, prepare
from lienthong.node.prepare import next_key
from lienthong.storage.keyring import Keyring, open_keyring
from lienthong.storage.server import PostgresServer
from lienthong.trust import es256
from lienthong.trust.keys import key_id, public_jwk
from lienthong.trust.token import Token, TokenKey, TokenUnusable
from tests.use.realm import Realm, a_realm
from tests.use.test_merger import CITIZEN, POLICE, REGISTER, a_table, agree, called, status, terms
from tests.use.test_rotation import request_of, signing

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "271828"
PROVINCE = "VN/GOV/H24"
COUNTER = f"{PROVINCE}/motcua"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not MODULE.exists() or shutil.which("softhsm2-util") is None,
        reason="softhsm2 is not installed (.ci/system-packages installs it as root)",
    ),
]


@pytest.fixture(scope="session")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The PIN's file of a token called ``lienthong``.  The library reads its folder once in each process."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "lienthong", "--so-pin", PIN, "--pin", PIN],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    (folder / "pin").write_text(PIN + "\n")
    return folder / "pin"


def lines(pin_file: Path) -> str:
    return f'pkcs11_module = "{MODULE}"\npkcs11_token = "lienthong"\npkcs11_pin_file = "{pin_file}"\n'


def test_a_key_in_the_token_signs_like_any_other_and_never_leaves_it(token_file: Path, tmp_path: Path):
    token, name = Token(str(MODULE), "lienthong", token_file), "VN/GOV/H30"
    assert not token.has(name)
    key = token.es256(name)

    assert es256.is_valid(key.public_key(), es256.sign(key, b"message"), b"message")
    assert not es256.is_valid(key.public_key(), es256.sign(key, b"message"), b"another")
    again = Token(str(MODULE), "lienthong", token_file)
    assert again.has(name)
    assert public_jwk(again.es256(name)) == public_jwk(key)
    assert (key.curve.name, key.key_size, copy.deepcopy(key)) == ("secp256r1", 256, key)
    for leave in (
        key.private_numbers,
        lambda: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        lambda: key.exchange(ec.ECDH(), key.public_key()),
    ):
        with pytest.raises(TokenUnusable):
            leave()
    with pytest.raises(TokenUnusable):
        token.sign("VN/GOV/none", bytes(32))
    with pytest.raises(TokenUnusable):
        Token(str(MODULE), "no such token", token_file).has(name)
    (tmp_path / "wrong").write_text("000000")
    with pytest.raises(TokenUnusable):
        Token("/nowhere/lib.so", "lienthong", tmp_path / "wrong").has(name)


@pytest.fixture
async def realm(
    pg_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token_file: Path
) -> AsyncIterator[Realm]:
    monkeypatch.setattr(changes, "KEY_AHEAD", changes.KEY_AHEAD * 0)
    monkeypatch.setattr(prepare, "SETTLE", prepare.SETTLE * 0)
    monkeypatch.setattr(gateway, "TRUST_LOOK_S", 3600.0)
    # The province's first key is from before there was a token: a file.
    Keyring(tmp_path / "nut-h24").es256(PROVINCE)
    async with a_realm(pg_server, tmp_path, (REGISTER, COUNTER), {"HP-01": PROVINCE}, None, lines(token_file)) as made:
        await a_table(made.nodes[POLICE], CITIZEN)
        await agree(made.nodes[PROVINCE], made.nodes[POLICE], terms(PROVINCE, CITIZEN, "HP-01"))
        await called(made, COUNTER)
        yield made


async def test_calls_and_agreements_are_signed_in_the_token_and_a_file_key_gives_way_to_one(realm: Realm):
    province, police = realm.nodes[PROVINCE], realm.nodes[POLICE]
    assert isinstance(police.local.keyring.es256(POLICE), TokenKey)
    assert list((police.local.settings.data / "keys").glob("*G01*")) == [], "no private key of the member is a file"
    assert not isinstance(province.local.keyring.es256(PROVINCE), TokenKey)

    made = next_key(province.local.keyring, PROVINCE, province.local.directory.snapshot())
    node = province.local.settings.node
    await realm.carry_out(request_of(province, "key", jwk=public_jwk(made), node=node))

    assert isinstance(made, TokenKey)
    assert signing(province) == key_id(public_jwk(made))
    assert await status(realm, COUNTER) == 200
    settings = load_settings(realm.folder / "nut-h24.toml")
    assert public_jwk(open_keyring(settings).es256(f"{PROVINCE}+next")) == public_jwk(made), "after a restart too"
    assert datetime.now(UTC) > province.local.directory.snapshot().issued
