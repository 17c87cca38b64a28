"""The node's API as it is composed for real: what it says of itself is what it does."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from starlette.routing import Route

from lienthong.identity.models import Role
from lienthong.identity.tokens import make_token, possible_scopes
from lienthong.storage.server import PostgresServer
from tests.identity.build import PASSWORD, a_person
from tests.node_pages.addresses import pages_of
from tests.node_pages.country import NODES, Site, open_country
from tests.node_pages.whole import Portal, open_portal, publish_units
from tests.use.databases import databases
from tests.use.test_use import a_wish

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
SCHEMATHESIS = Path(__file__).parents[2] / ".venv-clients" / "bin" / "schemathesis"
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance",
)  # fmt: skip

ROOMS = ("/work", "/account", "/persons", "/approvals", "/audit", "/mine", "/login", "/cases/")
"""Pages of persons: what is in them is read by deeds and lists of their own."""
TWINS = {
    "/": "/v1/figures",
    "/records/{record_hash}": "/v1/uses",
    "/feedback/{code}": "/v1/cases/{case}",
}
"""Public page -> what tells programs the same, where that is not ``/v1<page>``."""
NO_DATA = {
    "/components": "the parts that pages are made of",
    "/feedback": "a form",
    "/unsent": "drafts that wait in the browser itself",
}
"""Public page -> why there is nothing to read on it."""
NO_DEED = {
    "/addresses": "POST /v1/addresses answers programs, and changes nothing",
    "/work/rekey": "changes nothing, and carries a file: lienthong rekey does it by command",
    "/theme": "the colours of one's own browser",
    "/login/staff": "signing in: a program has a token",
    "/login/passkey": "signing in",
    "/login/first/{secret}": "signing in",
    "/login/with/{provider}": "signing in",
    "/login/with/{provider}/ended": "the identity provider's door",
    "/account/passkeys": "a conversation of browser and authenticator (WebAuthn)",
    "/account/links": "a conversation of browser and identity provider (OpenID Connect)",
    "/witness/add-checkpoint": "the door of other nodes' witnesses",
    "/work/national": "looks one person up for an officer, who is in front of a screen",
    "/delta/shares/{share}/schemas/{schema}/tables/{table}/query": "the door of Delta Sharing's own clients",
}
"""Route that takes a form -> why no deed does the same."""
ALIKE = "|".join(
    (
        "[.](csv|xlsx)$",
        "/v1/(live|nodes|visits|coverage|directory/versions)$",
        "/v1/open/.*/(files|query)$",
        "/v1/cases/(answer|pause|resume|extend)$",
        "/v1/(agreements/end|approvals/refuse|persons/(link|close|take-role))$",
        "/v1/findings/look$",
    )
)
"""Tables like /v1/members and /v1/legal; deeds that take what another takes; one that needs a configuration file."""


@dataclass
class Told:
    """The national node's API: its description, and a client with a token of somebody who may much."""

    portal: Portal
    site: Site
    web: aiohttp.ClientSession
    token: str
    description: dict[str, Any]

    async def read(self, address: str, **headers: str) -> tuple[int, Any]:
        async with self.web.get(self.portal.url + address, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


@pytest.fixture(scope="module")
def many_deeds() -> Iterator[None]:
    """One person does here in a minute what a hundred do in an hour."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lienthong.node.deeds.DEEDS_A_MINUTE", 1_000_000)
        yield


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def told(
    many_deeds: None, pg_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Told]:
    with databases(pg_server, len(NODES)) as dsns:
        async with open_country(dsns, tmp_path_factory.mktemp("country")) as country:
            await country.use(a_wish())
            site = country.police
            staff = (Role.OPERATOR, Role.DATA_OFFICER, Role.INTEGRATOR)
            async with site.local.pool.connection() as db:
                person = await a_person(db, "hoa", *staff, member=site.local.settings.members[0], password=PASSWORD)
            async with open_portal(site) as portal, aiohttp.ClientSession() as web:
                await publish_units(site)
                async with site.local.pool.connection() as db:
                    scopes = [right.value for right in possible_scopes(person)]
                    token, _ = await make_token(db, person, "thử", scopes, 9, by=None, now=datetime.now(UTC))
                async with web.get(portal.url + "/openapi.json?lang=en") as answer:
                    description = await answer.json()
                yield Told(portal, site, web, token, description)


async def test_every_route_of_the_api_stands_in_its_description(told: Told) -> None:
    routes = [route for route in told.portal.app.routes if isinstance(route, Route) and route.path.startswith("/v1/")]
    there = {re.sub(r":\w+}", "}", route.path) for route in routes}

    assert there == set(told.description["paths"])
    assert told.description["openapi"] == "3.1.0"
    for path, operations in told.description["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
    ids = [each["operationId"] for operations in told.description["paths"].values() for each in operations.values()]
    assert len(ids) == len(set(ids))


async def test_schemathesis_finds_no_server_error_and_nothing_that_is_not_written_down(
    told: Told, tmp_path: Path
) -> None:
    # What no door knows (TRACE) is refused with 501, as RFC 9110 says.  One worker: two threads that parse Python at a
    # moment fail in CPython 3.11 (gh-106905).
    (tmp_path / "schemathesis.toml").write_text("[phases.coverage]\nunexpected-methods = []\n", "ascii")
    given = ["run", f"{told.portal.url}/openapi.json?lang=en", "--url", told.portal.url, "--checks", ",".join(CHECKS),
             "--exclude-path-regex", ALIKE, "--phases", "coverage",
             "--generation-deterministic", "-w", "1", "-H", f"Authorization:Bearer {told.token}", "--no-color",
             "--suppress-health-check", "all", "--warnings", "off", "--continue-on-failure"]  # fmt: skip
    running = await asyncio.create_subprocess_exec(
        SCHEMATHESIS, *given, cwd=tmp_path, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await running.communicate()

    assert running.returncode == 0, said.decode()[-6000:]


async def test_the_tables_behind_figures_and_pictures_are_read_by_programs_too(told: Told) -> None:
    status, figure = await told.read("/v1/figures/services")
    assert status == 200
    assert figure["key"] == "services"
    assert len(figure["rows"][0]) == len(figure["columns"])
    assert (await told.read("/v1/figures/none"))[0] == 404
    status, pictures = await told.read("/v1/pictures")
    assert status == 200
    assert {each["name"] for each in pictures["pictures"]} == {"calls", "graph", "map"}
    assert {"code", "name", "members"} == set(pictures["pictures"][2]["rows"][0])


async def test_every_public_page_with_data_has_a_twin_for_programs(told: Told) -> None:
    paths = set(told.description["paths"])
    public = [path for path in pages_of(told.portal.app) if not path.startswith(ROOMS)]

    without = {path for path in public if TWINS.get(path, f"/v1{path}").replace(":path", "") not in paths}

    assert without == set(NO_DATA)


async def test_every_button_of_a_page_has_a_deed(told: Told) -> None:
    """What a form does, a program can do: or it is said why not."""
    forms = {
        route.path
        for route in told.portal.app.routes
        if isinstance(route, Route) and "POST" in (route.methods or ()) and not route.path.startswith(("/v1/", "/en/"))
    }

    done = {form for deed in told.portal.deeds for form in deed.forms}

    assert forms - done - set(NO_DEED) == set()
    assert (done | set(NO_DEED)) - forms == set()  # no line is left over
    names = {f"/v1/{deed.name}" for deed in told.portal.deeds}
    by_screen = {f"/v1/{deed.name}" for deed in told.portal.deeds if deed.by_screen_alone}
    written = {path: each["post"] for path, each in told.description["paths"].items() if path in names}
    assert set(written) == names
    assert {path for path, each in written.items() if {"token": []} not in each["security"]} == by_screen
    assert {"/v1/approvals/approve", "/v1/tokens/make", "/v1/persons/add"} <= by_screen


async def test_a_table_names_its_next_page(told: Told) -> None:
    async with told.web.get(told.portal.url + "/v1/legal?per_page=1&q=") as answer:
        whole = await answer.json()
        links = answer.links
    assert whole["pages"] > 2
    async with told.web.get(told.portal.url + str(links["next"]["url"].relative())) as answer:
        following = await answer.json()
        assert set(answer.links) == {"next", "prev"}

    assert following["page"] == 2
    assert following["rows"] != whole["rows"]


async def lienthong(told: Told, *arguments: str) -> tuple[int, str, str]:
    """The command against this node: status, what it printed, what it said beside."""
    surroundings = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "LANG": "en_US.UTF-8",
                    "LIENTHONG_PORTAL": told.portal.url, "LIENTHONG_TOKEN": told.token}  # fmt: skip
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lienthong.cli", "api", *arguments, env=surroundings,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, beside = await running.communicate()
    return running.returncode or 0, said.decode(), beside.decode()


async def test_the_command_lists_and_does_what_the_api_can(told: Told) -> None:
    status, listed, _ = await lienthong(told)
    assert status == 0
    assert re.search(r"^cases/open +Open a case$", listed, re.M)
    assert re.search(r"^ +kind= owner= title= \[text=\]", listed, re.M)
    assert "approvals/approve            Approve a change that needs two persons (in the portal alone)" in listed

    wish = ("cases/open", "kind=quality-ticket", f"owner={told.site.local.settings.members[0]}", "title=Thiếu xã")
    status, opened, _ = await lienthong(told, *wish, "--key", "phieu-2026-11-23")
    assert status == 0, opened
    case = json.loads(opened)["case"]
    _, again, beside = await lienthong(told, *wish, "--key", "phieu-2026-11-23")
    assert (json.loads(again)["case"], beside.strip()) == (
        case,
        "This was done before; here is the first answer again.",
    )
    _, read, _ = await lienthong(told, f"/v1/cases/{case}")
    assert json.loads(read)["title"] == "Thiếu xã"

    for arguments, kind in (
        (("no/such",), "no-such-call"), (("cases/open", "colour=red"), "no-such-call"),
        (("cases/open", "title=?"), "bad-input"), (("approvals/approve", "proposal=7"), "not-by-token"),
    ):  # fmt: skip
        status, _, beside = await lienthong(told, *arguments)
        assert (status, beside.splitlines()[-1 if kind != "bad-input" else -3].strip()) == (
            1,
            f"urn:lienthong:problem:{kind}",
        ), beside
