"""A table is taken under an agreement: by profile, with one record for each version read, and only what is granted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lienthong.storage.provision import DatabaseDsns
from lienthong.tables.models import View
from lienthong.tables.sandbox import Sandbox
from tests.tables.people import citizens, in_csv, in_postgres, people
from tests.tables.sharing import CONSUMER, TABLE, Provider, a_provider

COUNT = 2000
VIEW = View(
    fields=("number", "full_name", "born", "income", "area", "changed", "province"),
    masks={"full_name": "drop", "number": "partial", "born": "year", "income": "round"},
    row_filter=(("province", "neq", "Hà Nội"),),
)


@pytest.fixture
async def provider(database: DatabaseDsns, sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Provider]:
    service = citizens(replace(in_postgres(database.owner, COUNT), dsn=database.app))
    async with a_provider(database, sandbox, tmp_path / "share", service) as running:
        running.gate.view = VIEW
        yield running


async def test_listings_name_what_the_agreement_offers(provider: Provider) -> None:
    async with provider.client() as client:
        found = {
            path: (await client.get(path)).json()
            for path in ("shares", "shares/G01", "shares/g01/schemas", "shares/g01/schemas/dancu/tables",
                         "shares/g01/all-tables", "shares/h24/all-tables")
        }  # fmt: skip

    assert [item["name"] for item in found["shares"]["items"]] == ["g01"]
    assert found["shares/G01"]["share"]["name"] == "g01"
    assert found["shares/g01/schemas"]["items"] == [{"name": "dancu", "share": "g01"}]
    tables = found["shares/g01/all-tables"]["items"]
    assert [(item["share"], item["schema"], item["name"]) for item in tables] == [("g01", "dancu", "citizen")]
    assert found["shares/g01/schemas/dancu/tables"]["items"] == tables
    assert found["shares/h24/all-tables"]["items"] == []


async def test_listings_come_in_pages(provider: Provider) -> None:
    service = provider.gate.services[0]
    provider.gate.services = [replace(service, id=f"{service.id}{n}") for n in range(5)]
    names: list[str] = []
    async with provider.client() as client:
        token = "0"
        while token:
            page = (await client.get("shares/g01/all-tables", params={"maxResults": 2, "pageToken": token})).json()
            names += [item["name"] for item in page["items"]]
            token = page.get("nextPageToken")
        refused = await client.get("shares", params={"pageToken": "x'"})

    assert names == [f"citizen{n}" for n in range(5)]
    assert (refused.status_code, kind_of(refused)) == (400, "bad-table-query")


async def test_metadata_shows_the_fields_as_the_agreement_leaves_them(provider: Provider) -> None:
    async with provider.client() as client:
        answer = await client.get(f"{TABLE}/metadata")
        version = await client.get(f"{TABLE}/version")
        older = await client.head(TABLE)

    protocol, described = (json.loads(line) for line in answer.text.splitlines())
    fields = json.loads(described["metaData"]["schemaString"])["fields"]
    assert protocol == {"protocol": {"minReaderVersion": 1}}
    assert [(field["name"], field["type"]) for field in fields] == [
        ("number", "string"), ("born", "date"), ("income", "long"), ("area", "decimal(12,2)"),
        ("changed", "timestamp"), ("province", "string"),
    ]  # fmt: skip
    assert {answer.headers["delta-table-version"], version.headers["delta-table-version"]} == {"1"}
    assert older.headers["delta-table-version"] == "1"
    assert provider.gate.opened_readings == []


async def test_the_files_hold_the_granted_rows_and_fields_masked_and_nothing_else(provider: Provider) -> None:
    files = await provider.files()
    contents = await fetch(files)

    shown = [p for p in people(COUNT) if p.province != "Hà Nội"]
    rows = [row for content in contents for row in pq.read_table(content).to_pylist()]
    assert {tuple(row) for row in rows} == {("number", "born", "income", "area", "changed", "province")}
    assert sorted((row["number"], str(row["area"]), row["changed"].replace(tzinfo=None)) for row in rows) == sorted(
        (
            f"{p.number[:3]}*******{p.number[-2:]}",
            str(p.area if p.area is None else p.area.quantize(Decimal("0.01"))),
            p.changed,
        )
        for p in shown
    )
    assert {row["born"] for row in rows} == {p.born and p.born.replace(month=1, day=1) for p in shown}

    stored = b"".join(path.read_bytes() for path in sorted(provider.folder.rglob("*")) if path.is_file())
    for hidden in ("full_name", "Văn Ất", "Nguyễn", "Hà Nội", *(p.number for p in shown[:50])):
        assert hidden.encode() not in stored, hidden
        assert hidden not in json.dumps(files, ensure_ascii=False)


def kind_of(answer: httpx.Response) -> str:
    """The problem's kind behind the code that Delta Sharing clients show."""
    return answer.json()["errorCode"].lower().replace("_", "-")


async def fetch(files: list[dict[str, Any]]) -> list[Any]:
    async with httpx.AsyncClient() as client:
        return [pa.BufferReader((await client.get(file["url"])).content) for file in files]


async def test_files_are_sorted_and_split_so_that_hints_leave_most_of_them_out(provider: Provider) -> None:
    provider.gate.view = View()
    everything = await provider.files()
    wanted = sorted(p.number for p in people(COUNT))[100]
    hint = {
        "op": "equal",
        "children": [
            {"op": "column", "name": "number", "valueType": "string"},
            {"op": "literal", "value": wanted, "valueType": "string"},
        ],
    }

    pruned = await provider.files(jsonPredicateHints=json.dumps(hint))
    by_sql = await provider.files(predicateHints=[f"number = '{wanted}'"])
    none = await provider.files(predicateHints=["number = '000'"])
    limited = await provider.files(limitHint=600)

    assert [file["size"] > 0 for file in everything] == [True] * 4
    assert [file["id"] for file in pruned] == [file["id"] for file in by_sql] == [everything[0]["id"]]
    assert (none, len(limited)) == ([], 2)
    [content] = await fetch(pruned)
    assert wanted in pq.read_table(content)["number"].to_pylist()
    for file, rows in zip(everything, [500] * 4, strict=True):
        assert json.loads(file["stats"])["numRecords"] == rows


async def test_one_reading_of_one_version_is_one_record_closed_with_the_bytes_taken(provider: Provider) -> None:
    for _ in range(3):
        files = await provider.files()
    contents = await fetch(files)
    taken = sum(content.size() for content in contents)

    assert len(provider.gate.opened_readings) == 1
    reading = provider.gate.opened_readings[0]
    assert (reading.service, reading.version, reading.profile.system) == ("VN/GOV/G01/dancu/citizen", 1, CONSUMER)
    assert (reading.note, reading.profile.purpose) == ("decided for urn:uuid:agreement-1", "HP-DATDAI-01")
    assert provider.gate.admissions.count(True) == 1
    assert await provider.taking.close_ended() == 0

    provider.clock.ahead = timedelta(hours=1)
    assert await provider.taking.close_ended() == 1
    assert await provider.taking.close_ended() == 0
    [closed] = provider.gate.closed_readings
    assert (closed.id, closed.bytes_taken, closed.requests) == (reading.id, taken, len(files))
    async with httpx.AsyncClient() as client:
        assert (await client.get(files[0]["url"])).status_code == 403


async def test_a_reading_whose_end_could_not_be_recorded_is_closed_later(provider: Provider) -> None:
    await provider.files()
    provider.clock.ahead = timedelta(hours=1)
    provider.gate.disk_full = True
    with pytest.raises(Exception, match="durable"):
        await provider.taking.close_ended()

    provider.gate.disk_full = False
    assert await provider.taking.close_ended() == 1


async def test_no_address_leaves_without_a_durable_record(provider: Provider) -> None:
    provider.gate.disk_full = True
    async with provider.client() as client:
        answer = await client.post(f"{TABLE}/query", json={})

    assert answer.status_code == 500
    assert "signature=" not in answer.text
    provider.gate.disk_full = False
    await provider.files()
    assert len(provider.gate.opened_readings) == 1


async def test_a_changed_table_is_a_new_version_and_the_old_files_go_when_nobody_reads_them(
    provider: Provider, database: DatabaseDsns
) -> None:
    before = await provider.files()
    with psycopg.connect(database.owner) as owner:
        owner.execute("DELETE FROM dancu.citizen WHERE income IS NULL")
        owner.execute("SELECT pg_stat_force_next_flush()")
    after = await provider.files()

    assert {file["version"] for file in before} == {1}
    assert {file["version"] for file in after} == {2}
    assert len(await fetch(before)) == len(before)
    folders = {path.parent.name for path in provider.folder.rglob("*.parquet")}
    provider.clock.ahead = timedelta(hours=1)
    assert await provider.taking.close_ended() == 2
    assert (folders, {path.parent.name for path in provider.folder.rglob("*.parquet")}) == ({"1", "2"}, {"2"})


async def test_equal_views_share_files_and_other_views_do_not(provider: Provider) -> None:
    first = await provider.files()
    await provider.new_profile()
    provider.gate.view = replace(VIEW, masks=dict(reversed(VIEW.masks.items())), limit=7)
    again = await provider.files()
    provider.gate.view = replace(VIEW, masks={})
    other = await provider.files()

    assert [file["id"] for file in first] == [file["id"] for file in again]
    assert not {file["id"] for file in first} & {file["id"] for file in other}
    assert len(provider.gate.opened_readings) == 3


async def test_two_readers_at_once_make_the_files_once(provider: Provider) -> None:
    answers = await asyncio.gather(*(provider.files() for _ in range(4)))

    assert len({json.dumps([file["id"] for file in files]) for files in answers}) == 1
    assert len({path.parent for path in provider.folder.rglob("*.parquet")}) == 1


async def test_damaged_files_are_made_anew(provider: Provider) -> None:
    files = await provider.files()
    next(provider.folder.rglob("*.parquet")).write_bytes(b"short")

    assert {file["version"] for file in await provider.files()} == {files[0]["version"] + 1}


async def test_a_file_is_sent_whole_or_in_the_range_asked_for(provider: Provider) -> None:
    url = (await provider.files())[0]["url"]
    whole = next(provider.folder.rglob("part-00000.parquet")).read_bytes()
    cases: list[tuple[str | None, int, slice]] = [
        (None, 200, slice(None)),
        ("bytes=0-99", 206, slice(0, 100)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-8", 206, slice(-8, None)),
        ("bytes=-999999999", 206, slice(None)),
        ("bytes=5-999999999", 206, slice(5, None)),
        ("bytes=0-1,5-6", 200, slice(None)),
        ("bytes=9-5", 200, slice(None)),
        ("lines=1-2", 200, slice(None)),
        ("bytes=-", 200, slice(None)),
        ("bytes=999999999-", 416, slice(0, 0)),
        ("bytes=-0", 416, slice(0, 0)),
    ]
    async with httpx.AsyncClient() as client:
        for method in ("GET", "HEAD"):
            for asked, status, sent in cases:
                answer = await client.request(method, url, headers={} if asked is None else {"Range": asked})
                assert (answer.status_code, asked) == (status, asked)
                assert answer.content == (whole[sent] if method == "GET" else b""), asked
                if status == 416:
                    assert answer.headers["content-range"] == f"bytes */{len(whole)}"
                    continue
                assert int(answer.headers["content-length"]) == len(whole[sent])
                assert answer.headers["accept-ranges"] == "bytes"
                if status == 206:
                    places = range(len(whole))[sent]
                    assert answer.headers["content-range"] == f"bytes {places[0]}-{places[-1]}/{len(whole)}"
        stale = await client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
    assert stale.status_code == 200


@pytest.mark.parametrize(
    ("token", "kind"),
    [("", "profile-unknown"), ("altered", "profile-unknown"), ("expired", "profile-expired")],
)
async def test_a_profile_that_is_missing_altered_or_expired_is_told_so(
    provider: Provider, token: str, kind: str
) -> None:
    if token == "expired":
        await provider.new_profile(timedelta(seconds=-1))
    elif token:
        provider.token = provider.token[:-1] + ("A" if provider.token[-1] != "A" else "B")
    else:
        provider.token = "-"
    async with provider.client() as client:
        answers = [await client.get("shares"), await client.post(f"{TABLE}/query", json={}), await client.head(TABLE)]

    assert [answer.status_code for answer in answers] == [401] * 3
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    problem = answers[0].json()
    assert (kind_of(answers[0]), problem["side"]) == (kind, "caller")
    assert problem["type"] == f"urn:lienthong:problem:{kind}"
    assert problem["message"] == problem["detail"]
    assert problem["mend"]
    assert provider.gate.admissions == []


async def test_an_altered_or_expired_address_opens_nothing(provider: Provider) -> None:
    file = (await provider.files())[0]
    url = httpx.URL(file["url"])
    altered = [
        url.copy_set_param(
            "signature", ("B" if url.params["signature"][0] == "A" else "A") + url.params["signature"][1:]
        ),
        url.copy_set_param("signature", "ü"),
        url.copy_set_param("expires", str(int(url.params["expires"]) + 1)),
        url.copy_remove_param("signature"),
        url.copy_with(path=url.path.replace("part-00000", "part-00001")),
        url.copy_with(path=url.path.replace("rdg-", "rdg-0")),
    ]
    async with httpx.AsyncClient() as client:
        refused = [await client.get(address) for address in altered]
        good = await client.get(url)
        provider.clock.ahead = timedelta(minutes=21)
        refused.append(await client.get(url))

    assert good.status_code == 200
    assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert {kind_of(answer) for answer in refused} == {"address-not-valid"}


async def test_an_agreement_that_ended_stops_metadata_queries_and_files(provider: Provider) -> None:
    url = (await provider.files())[0]["url"]
    provider.gate.refuses = True
    async with provider.client() as client:
        answers = [
            await client.get(f"{TABLE}/metadata"),
            await client.get(f"{TABLE}/version"),
            await client.post(f"{TABLE}/query", json={}),
            await client.get(url),
        ]

    assert [answer.status_code for answer in answers] == [403] * 4
    assert {kind_of(answer) for answer in answers} == {"no-agreement-in-test"}


async def test_an_agreement_that_ends_while_files_are_fetched_stops_the_next_file_within_seconds(
    provider: Provider,
) -> None:
    first, second, *_ = await provider.files()
    async with httpx.AsyncClient() as client:
        assert (await client.get(first["url"])).status_code == 200
        provider.gate.refuses = True
        provider.clock.ahead = timedelta(seconds=6)
        assert (await client.get(second["url"])).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "shares/g01/schemas/dancu/tables/gone",
        "shares/h24/schemas/dancu/tables/citizen",
        "shares/g01/schemas/x/tables/citizen",
    ],
)
async def test_another_table_does_not_exist_for_this_profile(provider: Provider, path: str) -> None:
    async with provider.client() as client:
        answers = [await client.get(f"{path}/metadata"), await client.post(f"{path}/query", json={})]

    assert [(answer.status_code, kind_of(answer)) for answer in answers] == [(404, "no-such-table")] * 2


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"version": 9}', b'{"timestamp": "2020-01-01T00:00:00Z"}', b"x" * 300_000]
)
async def test_a_query_that_is_not_understood_is_refused(provider: Provider, body: bytes) -> None:
    async with provider.client() as client:
        answer = await client.post(f"{TABLE}/query", content=body)
        changes = await client.get(f"{TABLE}/changes?startingVersion=1")

    assert (answer.status_code, kind_of(answer)) == (400, "bad-table-query")
    assert changes.status_code == 400
    assert provider.gate.opened_readings == []


async def test_a_reader_who_hangs_up_is_counted_for_what_was_sent(
    database: DatabaseDsns, sandbox: Sandbox, tmp_path: Path
) -> None:
    service = citizens(in_csv(tmp_path / "people.csv", 60_000))
    async with a_provider(database, sandbox, tmp_path / "share", service, rows_per_file=100_000) as provider:
        [file] = await provider.files()
        async with httpx.AsyncClient() as client, client.stream("GET", file["url"]) as answer:
            async for _ in answer.aiter_raw(100):
                break
        await fetch([file])
        # What the first one took is counted when the server has seen it go, which may be after the second one's answer.
        async with await psycopg.AsyncConnection.connect(database.app, autocommit=True) as db, asyncio.timeout(120):
            while await (await db.execute("SELECT 1 FROM share_reading WHERE requests < 2")).fetchone():
                await db.execute("SELECT pg_sleep(0.05)")
        provider.clock.ahead = timedelta(hours=1)
        await provider.taking.close_ended()

        [closed] = provider.gate.closed_readings
        assert closed.requests == 2
        assert file["size"] <= closed.bytes_taken <= 2 * file["size"]


@pytest.mark.conformance
async def test_the_official_client_lists_loads_and_prunes(
    provider: Provider, delta_sharing_python: Path, tmp_path: Path
) -> None:
    profile = tmp_path / "profile.share"
    profile.write_text(json.dumps(provider.profile))
    script = """
import json, sys, delta_sharing
client = delta_sharing.SharingClient(sys.argv[1])
table = sys.argv[1] + "#g01.dancu.citizen"
column = {"op": "column", "name": "number", "valueType": "string"}
below = {"op": "literal", "value": "004", "valueType": "string"}
hint = json.dumps({"op": "lessThan", "children": [column, below]})
frame = delta_sharing.load_as_pandas(table)
few = delta_sharing.load_as_pandas(table, jsonPredicateHints=hint)
print(json.dumps({
    "tables": [f"{t.share}.{t.schema}.{t.name}" for t in client.list_all_tables()],
    "version": delta_sharing.get_table_version(table), "rows": len(frame), "columns": list(frame.columns),
    "types": [str(kind) for kind in frame.dtypes], "area": str(frame["area"].sum()), "few": len(few),
    "limited": len(delta_sharing.load_as_pandas(table, limit=10)), "born": str(frame["born"].dropna().min()),
}))
"""
    told = json.loads(await run(delta_sharing_python, script, str(profile)))

    shown = [p for p in people(COUNT) if p.province != "Hà Nội"]
    assert told["tables"] == ["g01.dancu.citizen"]
    assert (told["version"], told["rows"], told["limited"]) == (1, len(shown), 10)
    assert told["columns"] == ["number", "born", "income", "area", "changed", "province"]
    assert told["area"] == str(sum(p.area for p in shown if p.area is not None))
    assert told["born"] == "1940-01-01"
    assert told["few"] == 500
    assert len(provider.gate.opened_readings) == 1


@pytest.mark.conformance
async def test_the_official_client_says_that_a_profile_has_expired(
    provider: Provider, delta_sharing_python: Path, tmp_path: Path
) -> None:
    await provider.new_profile(timedelta(seconds=-1))
    profile = tmp_path / "profile.share"
    profile.write_text(json.dumps(provider.profile))
    script = """
import sys, delta_sharing, requests
try:
    delta_sharing.SharingClient(sys.argv[1]).list_shares()
except requests.HTTPError as refused:
    print(refused.response.status_code, refused.response.json()["errorCode"], refused)
"""
    told = await run(delta_sharing_python, script, str(profile))

    assert told.startswith("401 PROFILE_EXPIRED")


async def run(python: Path, script: str, *arguments: str) -> str:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        str(python), "-W", "ignore", "-c", script, *arguments, stdout=pipe, stderr=pipe
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-3000:]
    return out.decode()
