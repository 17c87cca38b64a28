"""No secret of a running node stands where others look: in no process's arguments or environment, in no log.

The processes and the logs are those of the demo, after its uses and after requests that brought a token.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from lienthong.storage.keyring import Keyring
from tests.e2e.country import CITIZEN, ONE_STOP, ONE_STOP_SYSTEM, Country

pytestmark = pytest.mark.e2e

TOKEN = "tkn-4b1d9c77e0f24a55"
SHORTEST = 12
"""What is shorter stands somewhere by chance."""


def secrets_of(data: Path) -> Iterator[tuple[str, bytes]]:
    """Name and text of every secret in a node's data folder."""
    for path in sorted((data / "secrets").iterdir()):
        content = path.read_bytes().strip()
        if path.suffix == ".json":
            for dsn in json.loads(content).values():
                password = urlsplit(str(dsn)).password
                if password:
                    yield f"{path}: password", unquote(password).encode()
        else:
            yield str(path), content
    ring = Keyring(data)
    yield f"{data}: key password", ring.secret("key-password").hex().encode()
    for path in sorted((data / "keys").glob("*.pem")):
        lines = path.read_bytes().splitlines()
        yield from ((str(path), line) for line in lines[1:-1])
    key = ring.es256("node-tls").private_numbers().private_value
    yield f"{data}: scalar", str(key).encode()
    yield f"{data}: scalar", f"{key:064x}".encode()


def processes() -> Iterator[tuple[str, bytes]]:
    """What ``ps auxeww`` shows of every process: its arguments and its environment."""
    for folder in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                yield f"{folder}/{name}", (folder / name).read_bytes()
            except OSError:
                continue  # it has ended


def logs(country: Country) -> Iterator[tuple[str, bytes]]:
    for path in [*sorted((country.folder / "logs").iterdir()), country.demo.cluster / "server.log"]:
        yield str(path), path.read_bytes()


def test_no_secret_stands_in_arguments_environments_or_logs(country: Country):
    headers = {"X-Road-Client": ONE_STOP_SYSTEM, "Lienthong-Purpose": ONE_STOP, "Authorization": f"Bearer {TOKEN}"}
    answers = [
        country.http.post(f"{country.client_url}/r1/{CITIZEN}", json={"personal_number": "x"}, headers=headers),
        country.http.get(f"{country.client_url}/log/receipt/{'0' * 64}", headers=headers),
        country.http.get(f"{country.nodes[0]['public_url']}/delta/none", headers=headers),
    ]
    assert all(answer.status_code for answer in answers)
    secrets = [("a caller's token", TOKEN.encode())]
    for node in country.nodes:
        secrets += secrets_of(country.folder / "nodes" / node["node"])
    secrets = [(name, text) for name, text in secrets if len(text) >= SHORTEST]

    found = [
        f"{name} in {place}"
        for place, content in (*processes(), *logs(country))
        for name, text in secrets
        if text in content
    ]

    assert len(secrets) > 20 * len(country.nodes)
    assert found == []


def test_the_search_finds_what_it_looks_for(country: Country):
    """A process that carries a secret in its environment is found: the test above can fail."""
    data = country.folder / "nodes" / country.nodes[0]["node"]
    secret = next(text for _, text in secrets_of(data) if len(text) >= SHORTEST)
    with subprocess.Popen(["sleep", "600"], env={"PGPASSWORD": secret.decode()}) as careless:
        try:
            assert any(secret in content for _, content in processes())
        finally:
            careless.kill()
