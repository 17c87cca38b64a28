"""What a node tells of its calls: X-Road's fields, Prometheus' text, logs; and nothing of a person in any of them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import psycopg
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from lienthong.monitoring import queries
from lienthong.monitoring.calls import FIELDS, KEPT, Names, pack, tell, unpack
from lienthong.monitoring.counters import Counters, Process, exposition
from lienthong.monitoring.watch import Buffer, Seen, Watched
from lienthong.node.observing import TracesNotInstalled, tracing
from tests.monitoring.conftest import PERSON, Pair
from tests.use.nodes import COUNTER, PURPOSE

pytestmark = pytest.mark.integration
NUMBER, NAME, OFFICER, CASE = "001099012345", "Nguyễn Thị Bình", "canbo-7731", "HS-2026-000417"
CITIZEN = "VN/GOV/G01/dancu/citizen"
HEADERS = {"X-Road-Client": COUNTER, "Lienthong-Purpose": PURPOSE, "X-Road-UserId": OFFICER, "X-Road-Issue": CASE}


async def call(pair: Pair, path: str = f"/r1/{PERSON}/persons/{NUMBER}", **options) -> httpx.Response:
    return await pair.http.get(path, headers=HEADERS | options.pop("headers", {}), **options)


async def objects(pair: Pair, client: str = COUNTER, port: int | None = None, query: str = "") -> list[dict]:
    await pair.tell()
    base = f"http://127.0.0.1:{port}" if port else ""
    answer = await pair.http.get(f"{base}/monitoring{query}", headers={"X-Road-Client": client})
    assert answer.status_code == 200, answer.text
    return answer.json()["records"]


async def test_a_call_is_one_object_a_side_with_x_road_s_fields_in_its_order(pair):
    before = datetime.now(UTC).timestamp() * 1000 - 1
    answer = await call(pair)
    assert answer.status_code == 200, answer.text

    (ours,) = await objects(pair)
    (theirs,) = await objects(pair, "VN/GOV/G01/dancu", pair.provider.ports[0])

    assert tuple(ours) == tuple(theirs) == FIELDS
    assert (ours["securityServerType"], theirs["securityServerType"]) == ("Client", "Producer")
    for told in (ours, theirs):
        assert before <= told["requestInTs"] <= told["requestOutTs"] <= told["responseInTs"] <= told["responseOutTs"]
        parts = [told[f"client{part}"] for part in ("XRoadInstance", "MemberClass", "MemberCode", "SubsystemCode")]
        assert "/".join(parts) == COUNTER
        assert (told["serviceSubsystemCode"], told["serviceCode"], told["restMethod"]) == ("dancu", "person", "GET")
        assert (told["statusCode"], told["succeeded"], told["faultCode"]) == (200, True, None)
    assert ours["messageId"] == theirs["messageId"]
    assert ours["responseSize"] == len(answer.content)
    # The path stands on the provider's side only, and as its template.
    assert (ours["restPath"], theirs["restPath"]) == (None, "/persons/{number}")


async def test_a_member_finds_its_own_calls_by_time_and_in_portions_until_their_days_are_over(pair):
    for _ in range(3):
        await call(pair)
    assert await objects(pair, "VN/GOV/G01/dancu") == []  # a system of another member, at the same listener
    assert (await pair.http.get("/monitoring", headers={"X-Road-Client": "VN/GOV/G99/x"})).status_code == 403
    everything = await objects(pair)
    middle = everything[1]["requestInTs"]

    assert len(everything) == 3
    assert len(await objects(pair, query=f"?from={middle}")) == 2
    assert len(await objects(pair, query=f"?to={middle}")) == 1
    answer = await pair.http.get("/monitoring?limit=1", headers={"X-Road-Client": COUNTER})
    assert (answer.json()["records"], answer.json()["next"]) == (everything[:1], everything[0]["requestInTs"] + 1)

    async with pair.country.province.local.pool.connection() as db:
        kept = await queries.forget_calls(db, datetime.now(UTC) - timedelta(days=7))
        gone = await queries.forget_calls(db, datetime.now(UTC) + timedelta(seconds=5))
    assert (kept, gone) == (0, 1)
    assert await objects(pair) == []


async def test_metrics_of_all_processes_are_read_by_prometheus_and_only_on_the_client_listener(pair):
    await call(pair)
    await call(pair, headers={"Lienthong-Purpose": "HP-99"})
    await pair.tell()

    text = (await pair.http.get("/metrics")).text
    families = {family.name: family for family in text_string_to_metric_families(text)}

    calls = {
        (sample.labels["side"], sample.labels["status"]): sample.value
        for sample in families["lienthong_calls"].samples
        if sample.labels["service"] == PERSON
    }
    assert calls[("consumer", "200")] == 1
    assert sum(calls.values()) == 2
    counts = [s.value for s in families["lienthong_call_seconds"].samples if s.name.endswith("_count")]
    assert counts == [2.0]
    assert {"lienthong_log_records", "lienthong_check", "lienthong_process_memory_bytes"} <= families.keys()
    assert (await pair.country.web.get(pair.country.province.url + "/metrics")).status == 404


async def test_no_person_officer_or_case_stands_in_a_log_line_a_metric_or_an_object(pair):
    lines: list[str] = []

    def keep(_, __, event):
        lines.append(json.dumps(event, default=str, ensure_ascii=False))
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.processors.format_exc_info, keep])
    try:
        await call(pair)
        await call(pair, f"/r1/{CITIZEN}?personal_number={NUMBER}&x={quote(NAME)}")
        await call(pair, f"/r1/VN/GOV/G01/dancu/{NUMBER}/{quote(NAME)}")
        await call(pair, f"/r1/VN/GOV/G01/{NUMBER}/citizen")
        await call(pair, headers={"X-Road-Client": f"VN/GOV/H24/{NUMBER}"})
        await call(pair, headers={"X-Road-Id": NUMBER})
        await call(pair, headers={"X-Road-Represented-Party": f"PER/{NUMBER}"})
        await call(pair, headers={"traceparent": NUMBER, "Lienthong-Purpose": NUMBER})
        await pair.http.request(NUMBER, f"/r1/{PERSON}", headers=HEADERS)
        await pair.http.post("/sql", json={"sql": f"SELECT '{NUMBER}"}, headers={"X-Road-Client": COUNTER})
        await pair.tell()
        texts = {"log": "\n".join(lines)}
        for gateway, client in ((pair.consumer, COUNTER), (pair.provider, "VN/GOV/G01/dancu")):
            base = f"http://127.0.0.1:{gateway.ports[0]}"
            texts[f"metrics {client}"] = (await pair.http.get(base + "/metrics")).text
            texts[f"monitoring {client}"] = json.dumps(await objects(pair, client, gateway.ports[0]))
    finally:
        structlog.reset_defaults()

    words = (NUMBER, NAME, quote(NAME), "Binh", OFFICER, CASE)
    assert [(where, word) for where, text in texts.items() for word in words if word in text] == []
    # The search would have found something: what may stand there does.
    assert "person" in texts[f"monitoring {COUNTER}"]
    assert PERSON in texts[f"metrics {COUNTER}"]
    assert "client.refused" in texts["log"]


async def test_while_the_database_is_away_what_can_not_be_kept_is_counted_and_calls_are_not_touched(pair, pg_server):
    await call(pair)
    await pair.tell()
    owner = pair.country.province.local.dsns.owner
    with psycopg.connect(owner, autocommit=True) as db:
        db.execute("REVOKE INSERT ON monitored_calls FROM PUBLIC")
        role = re.sub(r"_owner$", "_app", db.info.user)
        db.execute(f"REVOKE INSERT ON monitored_calls FROM {role}")
        try:
            assert (await call(pair)).status_code == 200
            await pair.tell()
        finally:
            db.execute(f"GRANT INSERT ON monitored_calls TO {role}")

    await pair.tell()
    text = (await pair.http.get("/metrics")).text
    (dropped,) = [line for line in text.splitlines() if line.startswith("lienthong_calls_not_kept_total{")]
    assert dropped.endswith(" 1")


def seen(**changes) -> Seen:
    values = {
        "side": "provider", "started": 1.0, "sent_on": 0.0, "came_back": 0.0, "ended": 1.5, "method": b"POST",
        "target": b"/x1/VN/GOV/G01/dancu/citizen", "client": COUNTER.encode(), "service": CITIZEN.encode(),
        "exchange": b"", "request_bytes": 3, "response_bytes": 5, "status": 200, "fault": b"",
    }  # fmt: skip
    return Seen(**(values | changes))


EVERYTHING = Names(lambda _: True, lambda _: True, lambda *_: ("/*", "REST"), lambda _: "10.0.0.1")
NOTHING = Names(lambda _: False, lambda _: False, lambda *_: (None, "REST"), lambda _: None)


def test_words_that_nobody_knows_are_not_told():
    (told,) = tell([seen(method=b"GRAB", exchange=b"001099012345", fault=b"a fault of 001099012345")], NOTHING, 1)

    assert (told.client, told.service, told.fault) == (None, None, "other")
    assert "001099012345" not in json.dumps(told.row)
    assert "GRAB" not in json.dumps(told.row)


def test_what_is_packed_comes_back_with_every_field():
    (told,) = tell([seen()], EVERYTHING, 1)
    (back,) = unpack(pack([told.row]))

    assert len(told.row) == len(KEPT)
    assert (back["serviceCode"], back["requestInTs"], back["requestOutTs"]) == ("citizen", 1000, None)
    assert (back["messageUserId"], back["messageIssue"], back["representedPartyCode"]) == (None, None, None)


def test_a_full_buffer_counts_what_it_drops():
    buffer = Buffer(2)
    for _ in range(3):
        buffer.add(seen())

    assert (len(buffer.take()), buffer.dropped, buffer.take()) == (2, 1, [])


def test_a_label_with_a_quote_does_not_break_the_text():
    counters = Counters()
    (told,) = tell([seen()], EVERYTHING, 1)
    counters.count([told])
    process = Process('gate"way\\1', 1.0, counters.as_dict())

    families = list(text_string_to_metric_families(exposition([process], {}).decode()))

    assert families[0].samples[0].labels["process"] == 'gate"way\\1'


async def test_a_call_that_breaks_is_seen_with_status_0():
    buffer = Buffer()

    async def broken(scope, receive, send):
        raise OSError("gone")

    watched = Watched(broken, "provider", b"/x1/", buffer)
    with pytest.raises(OSError):
        await watched({"state": {"target": b"/x1/a"}, "headers": [], "method": "POST"}, None, None)

    assert [each.status for each in buffer.take()] == [0]


def test_traces_without_their_packages_are_refused_with_the_mend():
    assert tracing("") is None
    with pytest.raises(TracesNotInstalled) as refused:
        tracing("http://127.0.0.1:4318")
    assert "pip install" in refused.value.mend
