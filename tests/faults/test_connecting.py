"""What the integrator's pages give to copy works as it stands; a request is sent, own calls are explained."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import sys
import tomllib
from collections.abc import AsyncIterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from lienthong.access.sequence import Sequencer
from lienthong.agreements.policy import Reason
from lienthong.agreements.queries import negotiations_in
from lienthong.identity.models import Assurance, Role
from lienthong.node.prepare import LOG_KEY
from lienthong.portal.commands import Use, commands
from lienthong.portal.integrator import EXPLAINED
from lienthong.storage.server import PostgresServer
from tests.faults.foreign import BINH, OTHER, TOKENS, Scene, open_scene
from tests.identity.build import a_person
from tests.use.databases import databases
from tests.use.forged import CITIZEN
from tests.use.nodes import COUNTER, PROVINCE, PURPOSE

pytestmark = [pytest.mark.integration]
VARIABLE = {"LIENTHONG_CLIENT_TOKEN": TOKENS[COUNTER]}


@pytest.fixture
async def scene(
    pg_server: PostgresServer, tmp_path: Path, node_sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    with databases(pg_server, 2) as dsns:
        async with open_scene(dsns, tmp_path, node_sandbox, monkeypatch) as opened:
            yield opened


async def ran(*words: str, **more: str) -> tuple[int, str]:
    """A program as somebody would start it who pasted the command."""
    surroundings: Mapping[str, str] = {"PATH": os.environ["PATH"]} | VARIABLE | more
    running = await asyncio.create_subprocess_exec(
        *words, env=surroundings, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await running.communicate()
    return running.returncode or 0, said.decode()


async def signed_in(scene: Scene, login: str, *roles: Role) -> httpx.AsyncClient:
    """A browser of an integrator of the first member, at its own node."""
    entrance, public = scene.ours.web._entrance, scene.ours.public  # pyright: ignore[reportPrivateUsage]
    async with scene.ours.local.pool.connection() as db:
        person = await a_person(db, login, *roles, member=PROVINCE)
        secret = await entrance.admit(db, person, Assurance.TWO_FACTORS, had=None, way="test")
    public.cookies.set(entrance.cookie, secret)
    public.headers["Accept"] = "text/html"
    return public


async def test_commands_work_as_copied_and_everything_from_the_request_to_the_call_is_there(scene: Scene) -> None:
    browser = await signed_in(scene, "an", Role.INTEGRATOR)
    page = (await browser.get("/work/connect?lang=en")).text
    assert f"<code>{COUNTER}</code>" in page
    assert str(OTHER) not in page
    asked = {"service": CITIZEN, "system": COUNTER, "purpose": PURPOSE, "body": json.dumps({"personal_number": BINH})}
    shown = await browser.get("/work/connect", params=asked)
    listed = [unescape(each) for each in re.findall(r"<pre tabindex=\"0\"><code>(.*?)</code></pre>", shown.text, re.S)]
    assert len(listed) == 3
    # The listener of the scene has a port of its own; the settings name another one.
    there = f"http://127.0.0.1:{scene.ours.gateway.ports[0]}"
    named = f"http://127.0.0.1:{scene.ours.local.settings.client_port}"
    curl, python, plain = (each.replace(named, there) for each in listed)

    status, said = await ran("sh", "-c", curl)
    assert status == 0, said
    assert "Thị Bình" in said
    status, said = await ran(sys.executable, "-c", python, PYTHONIOENCODING="utf-8")
    assert status == 0, said
    assert "Thị Bình" in said
    assert re.search(r"^record: [0-9a-f]{64}$", said, re.M)
    assert plain.startswith(f"POST /r1/{CITIZEN} HTTP/1.1\n")
    assert TOKENS[COUNTER] not in "".join(listed)

    status, said = await ran("sh", "-c", curl.replace(PURPOSE, "HP-KHAC-01"))  # refused, and explained
    assert status != 0, said
    sequencer = Sequencer(scene.ours.local.files, scene.ours.local.keyring.ed25519(LOG_KEY))
    async with scene.ours.local.pool.connection() as db:
        await sequencer.step(db)
    calls = (await browser.get("/v1/own/calls?lang=en", headers={"Accept": "application/json"})).json()["calls"]
    assert [each["outcome"] for each in calls].count("permitted") >= 3
    refused = next(each for each in calls if each["outcome"] == "refused")
    assert refused["mend"]
    assert "Thị Bình" not in json.dumps(calls, ensure_ascii=False)
    assert refused["service"] in (await browser.get("/work/connect/calls")).text

    await ask_for_access(scene, browser)
    made = await token_of(browser)
    assert (
        hashlib.sha256(made["token"].encode()).hexdigest()
        == tomllib.loads(made["settings"])["clients"][0]["token_sha256"]
    )


async def ask_for_access(scene: Scene, browser: httpx.AsyncClient) -> None:
    """A request with the wrong day count comes back as typed; a good one waits at the provider."""
    hidden = dict(
        re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', (await browser.get("/work/connect/ask")).text)
    )
    wish = {"target": str(CITIZEN), "purpose": PURPOSE, "ground": "law:Luật Đất đai, Điều 1",
            "legal_basis": "Luật Đất đai", "fields": "full_name, phone", "days": "0", "note": "Cấp giấy"}  # fmt: skip
    wrong = await browser.post("/work/connect/ask", data=hidden | wish)
    assert wrong.status_code == 422
    assert "full_name, phone" in wrong.text
    strange = await browser.post("/work/connect/ask", data=hidden | wish | {"days": "30", "ground": "because"})
    assert strange.status_code == 422
    sent = await browser.post("/work/connect/ask", data=hidden | wish | {"days": "30"})
    assert sent.status_code == 303, sent.text
    async with scene.theirs.local.pool.connection() as db:
        assert [each.note for each in await negotiations_in(db, "provider", ("REQUESTED",))] == ["Cấp giấy"]


async def token_of(browser: httpx.AsyncClient) -> dict[str, Any]:
    """A token for the counter, by the deed; none for a system of another member."""
    form = (await browser.get("/v1/session")).json()["form_token"]
    headers = {"Lienthong-Form": form, "Accept": "application/json"}
    foreign = await browser.post("/v1/systems/token", json={"system": f"{OTHER}/datdai"}, headers=headers)
    assert foreign.status_code == 422
    made = await browser.post("/v1/systems/token", json={"system": str(COUNTER)}, headers=headers)
    assert made.status_code == 200, made.text
    return made.json()


def test_every_reason_of_a_refusal_is_explained() -> None:
    assert set(EXPLAINED) >= set(Reason.__args__) - {"permitted", "term-unknown"}


def test_a_body_that_is_no_json_makes_commands_that_still_parse() -> None:
    use = Use("http://127.0.0.1:8081", "VN/GOV/H24/mot'cua", CITIZEN, PURPOSE, "not json")
    curl, python, _ = commands(use)

    compile(python.text, "copied", "exec")
    assert "'VN/GOV/H24/mot'\"'\"'cua'" in curl.text or "mot'\"'\"'cua" in curl.text
