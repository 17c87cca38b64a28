"""Publishing by the wizard: a real table, a real file, few inputs, nobody shown, drafts one's own."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from psycopg.conninfo import conninfo_to_dict
from starlette.applications import Starlette

from lienthong.catalog.models import HttpSource
from lienthong.catalog.publish import ServiceChanged
from lienthong.catalog.queries import service_by_id
from lienthong.directory.models import ServiceId
from lienthong.exchange.outward import AddressNotAllowed, inside_of
from lienthong.identity.models import ANONYMOUS, Actor, Assurance, Role
from lienthong.identity.queries import acts_of
from lienthong.node.publishdesk import NodePublishDesk
from lienthong.portal.app import create_portal
from lienthong.portal.publishing import publishing_pages
from lienthong.portal.shell import Shell
from lienthong.storage.pool import Pool, open_pool
from lienthong.storage.provision import DatabaseDsns
from lienthong.tables.queries import Sources
from lienthong.tables.sandbox import Sandbox
from lienthong.web import install
from tests.directory.build import a_snapshot, a_system
from tests.exchange.scripted import read_request, scripted
from tests.portal import sample
from tests.portal.signed import SignedIn
from tests.tables.conftest import sandbox, sandbox_socket  # noqa: F401 - fixtures
from tests.tables.people import in_postgres, people

MEMBER = "VN/GOV/G01"


def officer(session: str = "s1", roles: frozenset[Role] = frozenset({Role.DATA_OFFICER})) -> Actor:
    return Actor("p-1", "Nguyễn Thị Bình", MEMBER, roles, Assurance.TWO_FACTORS, session)


@dataclass
class Desk:
    """A browser of an officer, and the node behind it."""

    client: httpx.AsyncClient
    pool: Pool
    database: DatabaseDsns
    data: Path
    signed_in: list[Actor]
    typed: int = 0

    async def open(self, path: str, status: int = 200) -> str:
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    async def send(self, path: str, page: str, files: Any = None, **typed: str) -> httpx.Response:
        """Fill in a form of ``page``: its hidden fields as they stand, and what is typed."""
        hidden: dict[str, str] = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
        self.typed += len(typed.keys() - {"kind", "deed"})
        return await self.client.post(path, data=hidden | typed, files=files)

    async def source(self, **typed: str) -> httpx.Response:
        """Step one for a table of the test's own database."""
        place = urlsplit(self.database.owner)
        told = {
            "kind": "postgresql",
            "place": f"{place.netloc.rpartition('@')[2]}{place.path}?{place.query}",
            "account": str(place.username),
            "password": str(place.password),
            "table": "dancu.citizen",
        }
        return await self.send("/work/publish", await self.open("/work/publish"), None, **(told | typed))


@asynccontextmanager
async def a_desk(database: DatabaseDsns, tables: Sandbox, data: Path, *, guarded: bool = False) -> AsyncIterator[Desk]:
    pool, sources = await open_pool(database.app), Sources()
    systems = (a_system(f"{MEMBER}/dancu"),)
    sockets = parse_qs(urlsplit(database.owner).query)["host"]
    rule = inside_of([] if guarded else ["127.0.0.1/32", *sockets])
    desk = NodePublishDesk(pool, data, lambda: a_snapshot(systems=systems), tables, sources, rule)
    shell = Shell(secret=b"k" * 32)
    site = Starlette(routes=create_portal(sample.SampleData(), shell, [publishing_pages(desk)]))
    install(site, error_page=shell.error_page)
    signed_in = [officer()]
    transport = httpx.ASGITransport(SignedIn(site, signed_in), raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://portal.example", headers={"accept": "text/html"}
    ) as client:
        yield Desk(client, pool, database, data, signed_in)
    await sources.close()
    await pool.close()


@pytest.fixture
async def desk(database: DatabaseDsns, sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Desk]:  # noqa: F811
    in_postgres(database.owner, 40)
    async with a_desk(database, sandbox, tmp_path) as running:
        yield running


async def described(desk: Desk, **typed: str) -> tuple[str, httpx.Response]:
    """Through steps one and two: the draft's address, and what the second step answered."""
    answer = await desk.source()
    assert answer.status_code == 303, answer.text
    draft = answer.headers["location"]
    told = {
        "title": "Công dân",
        "system": f"{MEMBER}/dancu",
        "name": "congdan",
        "sharing": "shared",
        "person": "number",
    }
    return draft, await desk.send(draft, await desk.open(draft), None, **(told | typed))


async def published(desk: Desk) -> list[tuple[Any, ...]]:
    async with desk.pool.connection() as db:
        return await (await db.execute("SELECT id, description FROM service")).fetchall()


async def test_a_table_is_published_with_eight_inputs_and_its_act_is_put_down(desk: Desk):
    draft, answer = await described(desk)
    assert (answer.status_code, answer.headers["location"]) == (303, draft)
    desk.typed -= 1  # the short name was suggested already
    preview = await desk.open(draft)
    assert await published(desk) == []

    done = await desk.send(draft, preview, None, deed="publish")

    assert desk.typed <= 8
    assert f"/r1/{MEMBER}/dancu/congdan" in preview
    (service,) = await published(desk)
    assert service[0] == f"{MEMBER}/dancu/congdan"
    shown = await desk.open(done.headers["location"])
    assert "Công dân" in shown
    async with desk.pool.connection() as db:
        acts = await acts_of(db, MEMBER, None, 10)
    assert [(act.person, act.act, act.object) for act in acts] == [
        ("p-1", "service.published", f"{MEMBER}/dancu/congdan")
    ]


async def test_the_preview_shows_rows_and_no_person(desk: Desk):
    draft, _ = await described(desk)

    preview = await desk.open(draft)

    first = next(people(1))
    assert str(first.score).rstrip("0").rstrip(".") in preview
    assert "•••" in preview
    for person in people(40):
        assert person.number not in preview
        assert person.full_name is None or person.full_name not in preview


async def test_the_password_is_in_no_page(desk: Desk):
    password = str(urlsplit(desk.database.owner).password)
    wrong = await desk.source(table="dancu.khongco")
    draft, _ = await described(desk)

    pages = [wrong.text, await desk.open(draft), await desk.open("/work/publish")]

    assert wrong.status_code == 422
    assert all(password not in page for page in pages)


NOT_THERE = (
    {"table": "dancu.khongco"}, {"place": "127.0.0.1:1/x"}, {"place": "x y"}, {"table": "a.b.c;--"}, {"account": ""},
    {"place": "127.0.0.1/x?passfile=/etc/shadow"},
)  # fmt: skip


async def test_what_can_not_be_read_is_said_and_what_was_typed_stays(desk: Desk):
    for typed in NOT_THERE:
        answer = await desk.source(**typed)

        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
        kept = {"table": "dancu.citizen", "account": str(urlsplit(desk.database.owner).username)} | typed
        assert all(f'value="{value}"' in answer.text for value in kept.values() if value), typed
    assert await published(desk) == []


CAN_NOT_BE: tuple[tuple[dict[str, str], str], ...] = (
    ({"person": "-"}, "person"),
    ({"sharing": "open"}, "sharing"),
    ({"title": ""}, "title"),
    ({"name": "../../etc"}, "name"),
    ({"system": "VN/GOV/H24/motcua"}, "system"),
    ({"person": "khongco"}, "person"),
)


async def test_a_description_that_can_not_be_is_refused_at_its_field(desk: Desk):
    for typed, faulty in CAN_NOT_BE:
        _, answer = await described(desk, **typed)

        assert answer.status_code == 422
        assert f'href="#f-{faulty}"' in answer.text, typed
    assert await published(desk) == []


async def test_columns_that_sound_like_persons_need_a_word(desk: Desk):
    _, answer = await described(desk, person="-", sure="1")

    assert answer.status_code == 303


async def test_script_in_a_title_is_text(desk: Desk):
    draft, _ = await described(desk, title="<script>alert(1)</script>")

    preview = await desk.open(draft)

    assert "<script>alert" not in preview
    assert "&lt;script&gt;" in preview


async def test_a_file_is_published(desk: Desk):
    page = await desk.open("/work/publish")
    told = "ma,ten\n01,Trường Ngô Quyền\n02,Trường Thái Phiên\n".encode()
    answer = await desk.send("/work/publish", page, {"file": ("trường học.csv", told, "text/csv")}, kind="file")
    draft = answer.headers["location"]

    typed = {"title": "Trường học", "system": f"{MEMBER}/dancu", "name": "truong", "sharing": "open", "person": "-"}
    await desk.send(draft, await desk.open(draft), None, **typed)
    preview = await desk.open(draft)
    await desk.send(draft, preview, None, deed="publish")

    assert "Trường Thái Phiên" in preview
    assert [row[0] for row in await published(desk)] == [f"{MEMBER}/dancu/truong"]


async def test_a_file_of_a_draft_that_was_given_up_does_not_stay(desk: Desk):
    async def sent(name: str) -> httpx.Response:
        page = await desk.open("/work/publish")
        return await desk.send("/work/publish", page, {"file": (name, b"ma,ten\n01,A\n", "text/csv")}, kind="file")

    draft = (await sent("dung.csv")).headers["location"]
    typed = {"title": "Dùng", "system": f"{MEMBER}/dancu", "name": "dung", "sharing": "open", "person": "-"}
    await desk.send(draft, await desk.open(draft), None, **typed)
    await desk.send(draft, await desk.open(draft), None, deed="publish")
    await sent("bo.csv")
    for file in desk.data.rglob("*.csv"):
        os.utime(file, (0, 0))

    await sent("moi.csv")

    left = sorted(file.name.partition("-")[0] for file in desk.data.rglob("*.csv"))
    assert left == ["dung", "moi"]


async def test_a_file_that_is_no_table_is_refused(desk: Desk):
    page = await desk.open("/work/publish")

    for name in ("virus.exe", "../../x.csv.sh"):
        answer = await desk.send("/work/publish", page, {"file": (name, b"x", "text/csv")}, kind="file")

        assert answer.status_code == 422
        assert 'href="#f-file"' in answer.text
        assert not list(desk.data.rglob("*"))


async def test_only_officers_publish(desk: Desk):
    desk.signed_in.append(ANONYMOUS)
    await desk.open("/work/publish", 401)
    desk.signed_in.append(officer(roles=frozenset({Role.INTEGRATOR, Role.OPERATOR})))
    await desk.open("/work/publish", 403)


async def test_a_draft_is_its_persons_own_through_a_new_sign_in(desk: Desk):
    draft, _ = await described(desk)
    desk.signed_in.append(officer("s2"))
    assert "•••" in await desk.open(draft)
    desk.signed_in.append(replace(officer("s3"), person="p-2"))

    await desk.open(draft, 404)
    told = await desk.client.get(draft, headers={"accept": "application/json"})
    assert told.json()["type"].rpartition(":")[2] == "draft-gone"


async def test_a_form_of_another_site_does_nothing(desk: Desk):
    draft, _ = await described(desk)
    preview = await desk.open(draft)
    desk.client.headers["origin"] = "https://elsewhere.example"

    answer = await desk.send(draft, preview, None, deed="publish")

    assert answer.status_code == 403
    assert await published(desk) == []


async def test_a_second_sending_leads_to_what_was_published_and_does_nothing_more(desk: Desk):
    draft, _ = await described(desk)
    preview = await desk.open(draft)
    once, again = await asyncio.gather(*(desk.send(draft, preview, None, deed="publish") for _ in range(2)))

    assert (again.status_code, again.headers["location"]) == (once.status_code, once.headers["location"])
    assert len(await published(desk)) == 1
    async with desk.pool.connection() as db:
        assert len(await acts_of(db, MEMBER, None, 10)) == 1


async def test_what_somebody_else_published_meanwhile_is_not_written_over(desk: Desk):
    mine, _ = await described(desk, title="Của tôi")
    preview = await desk.open(mine)
    theirs, _ = await described(desk, title="Của người khác")
    await desk.send(theirs, await desk.open(theirs), None, deed="publish")

    refused = await desk.send(mine, preview, None, deed="publish")

    assert refused.status_code == ServiceChanged.status
    assert ServiceChanged.kind == "service-changed"
    assert 'value="Của tôi"' in refused.text
    assert [row[1]["title_vi"] for row in await published(desk)] == ["Của người khác"]
    typed = {
        "title": "Của tôi",
        "system": f"{MEMBER}/dancu",
        "name": "congdan",
        "sharing": "shared",
        "person": "number",
    }
    assert (await desk.send(mine, refused.text, None, **typed)).status_code == 422
    assert (await desk.send(mine, refused.text, None, replace="1", **typed)).status_code == 303
    await desk.send(mine, await desk.open(mine), None, deed="publish")
    assert [(row[1]["title_vi"], row[1]["version"]) for row in await published(desk)] == [("Của tôi", 2)]


SCHOOL = b'{"ma": "T1", "si_so": 300, "hieu_truong": {"ho_ten": "Nguyen Van Bi Mat", "so_dinh_danh": "031099990001"}}'


@asynccontextmanager
async def a_back_end(status: bytes = b"200 OK", body: bytes = SCHOOL) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A back end that says one thing, and what it was asked."""
    heard: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await read_request(reader))
        writer.write(b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n" % status)
        writer.write(b"Location: http://127.0.0.1:1/\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async with scripted(script) as origin:
        yield f"http://127.0.0.1:{origin.port}/api", heard


async def by_http(desk: Desk, address: str, **typed: str) -> httpx.Response:
    told = {
        "kind": "http",
        "address": address,
        "endpoints": "GET /truong/{ma}\nPOST /truong",
        "target": "/truong/T1?nam=2",
    }
    return await desk.send("/work/publish", await desk.open("/work/publish"), None, **(told | typed))


async def test_a_service_by_http_is_tried_shown_without_persons_and_published(desk: Desk):
    async with a_back_end() as (address, heard):
        answer = await by_http(desk, address)
        draft = answer.headers["location"]
        page = await desk.open(draft)
        typed = {"title": "Trường", "system": f"{MEMBER}/dancu", "name": "truong", "sharing": "shared"}
        await desk.send(draft, page, None, **typed, person="$.hieu_truong.so_dinh_danh")
        preview = await desk.open(draft)
        await desk.send(draft, preview, None, deed="publish")

    assert heard[0].startswith(b"GET /api/truong/T1?nam=2 HTTP/1.1\r\n")
    assert "$.si_so" in page
    assert "&#34;si_so&#34;: 300" in preview
    assert "Bi Mat" not in preview + page
    assert "031099990001" not in preview + page
    (service,) = await published(desk)
    assert service[1]["kind"] == "http"
    assert service[1]["endpoints"] == [
        {"method": "GET", "path": "/truong/{ma}"}, {"method": "POST", "path": "/truong"}
    ]  # fmt: skip
    assert {"where": "response", "select": "$.hieu_truong.so_dinh_danh", "kind": "personal_number"} in service[1][
        "subjects"
    ]
    async with desk.pool.connection() as db:
        stored = await service_by_id(db, ServiceId(f"{MEMBER}/dancu/truong"))
    assert stored is not None
    assert stored.source == HttpSource(address, guarded=True)


async def test_a_back_end_that_can_not_be_published_is_said_at_its_field(desk: Desk):
    cases: tuple[tuple[bytes, dict[str, str], str], ...] = (
        (b"404 Not Found", {}, "target"),
        (b"302 Found", {}, "target"),
        (b"200 OK", {"target": "/khac"}, "target"),
        (b"200 OK", {"target": "/truong/../x"}, "target"),
        (b"200 OK", {"endpoints": "BREW /x"}, "endpoints"),
        (b"200 OK", {"address": "ftp://x/y"}, "address"),
        (b"200 OK", {"address": "http://a:b@127.0.0.1/"}, "address"),
        (b"200 OK", {"address": "http://127.0.0.1:1"}, "address"),
    )
    for status, typed, faulty in cases:
        async with a_back_end(status) as (address, _):
            answer = await by_http(desk, **({"address": address} | typed))

        assert answer.status_code == 422
        assert f'href="#f-{faulty}"' in answer.text, (status, typed)
    assert await published(desk) == []


async def test_an_officer_reaches_nothing_of_this_machine_by_typing_its_address(
    database: DatabaseDsns, sandbox: Sandbox, tmp_path: Path  # noqa: F811
):  # fmt: skip
    async with a_desk(database, sandbox, tmp_path, guarded=True) as desk, a_back_end() as (address, heard):
        for typed in (address, address.replace("127.0.0.1", "localhost"), "http://169.254.169.254/latest"):
            answer = await by_http(desk, typed)

            assert answer.status_code == 422
            assert 'href="#f-address"' in answer.text
            place = typed.removeprefix("http://").partition("/")[0]
            answer = await desk.source(place=f"{place}/dancu")

            assert answer.status_code == 422
            assert 'href="#f-place"' in answer.text
            assert "outward_allowed" in answer.text
    assert heard == []
    async with a_desk(database, sandbox, tmp_path, guarded=True) as desk:
        for place in (
            "/dancu",
            "/dancu?host=/run/postgresql",
            "/dancu?host=%2Ftmp%2F..%2Frun",
            "a.example,127.0.0.1/x",
        ):
            assert (await desk.source(place=place)).status_code == 422
        assert (await desk.source()).status_code == 422  # the test's own server listens on a socket nobody named


async def test_a_typed_database_is_pinned_to_the_addresses_that_were_checked(
    database: DatabaseDsns, sandbox: Sandbox, tmp_path: Path  # noqa: F811
):  # fmt: skip
    rule = inside_of(["127.0.0.1/32", "::1/128"])
    pool, sources = await open_pool(database.app), Sources()
    desk = NodePublishDesk(pool, tmp_path, a_snapshot, sandbox, sources, rule)

    pinned = await desk.checked("postgresql://may:bi%20mat@localhost:5433/dancu?sslmode=require#dancu.citizen")

    read = conninfo_to_dict(pinned.partition("#")[0])
    assert set(str(read["hostaddr"]).split(",")) <= {"127.0.0.1", "::1"}
    assert set(str(read["host"]).split(",")) == {"localhost"}  # what its certificate must bear
    assert (read["port"], read["dbname"], read["password"], read["sslmode"]) == ("5433", "dancu", "bi mat", "require")
    assert pinned.endswith("#dancu.citizen")
    with pytest.raises(AddressNotAllowed):
        await desk.checked(pinned)  # nobody types an address beside the name
    await sources.close()
    await pool.close()
