"""Changes of a table followed by another member's node: in order, each once, under the agreement, on both records."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from lienthong.access.gate import TermsRefuse
from lienthong.catalog.models import CsvFormat, TableSource
from lienthong.cli.events import app
from lienthong.config import Client
from lienthong.errors import Problem
from lienthong.events.follow import Follower
from lienthong.events.models import EventKeyHidden, EventRowUnknown, EventsOutOfOrder
from lienthong.events.push import Pusher
from lienthong.exchange.client import HttpClient
from lienthong.exchange.clientdoor import ClientDoor, Counter
from lienthong.exchange.describe import Descriptions
from lienthong.exchange.listen import serve_app
from lienthong.exchange.outward import INSIDE
from lienthong.exchange.signed import RefusedByProvider
from lienthong.node.eventdesk import EventCounter
from tests.use.conftest import FIELDS, the_agreement
from tests.use.nodes import COUNTER, PURPOSE
from tests.use.streams import BINH, CITIZEN, EVENTS, HAI, PHUONG, Stream

pytestmark = pytest.mark.integration


def the_pusher(stream: Stream) -> Pusher:
    """It pushes nothing here."""
    local = stream.consumer.local
    return Pusher(local.pool, local.seal, stream.follower, HttpClient(), INSIDE, local.settings.node)


async def test_events_tell_the_rows_there_are_and_then_only_what_changed(stream: Stream):
    subscription = await stream.followed()
    stream.change(
        f"UPDATE person SET full_name = 'Nguyễn Thị Bình An' WHERE personal_number = '{BINH}'",
        f"DELETE FROM person WHERE personal_number = '{HAI}'",
        "INSERT INTO person VALUES ('031200000001', 'Em Bé', '2026-01-01', NULL, NULL, '31')",
        f"UPDATE person SET religion = 'có' WHERE personal_number = '{BINH}'",
    )

    assert await stream.compare() == 3
    assert await stream.follower.follow_all() == 3

    first, second, *later = await stream.told(subscription)
    assert [first[:2], second[:2]] == [("inserted", BINH), ("inserted", HAI)]
    assert first[2] == {
        "full_name": "Nguyễn Thị Bình", "birth_date": "1999-05-02", "phone": "091*****78", "province_code": "31"
    }  # fmt: skip
    assert later == [
        ("updated", BINH, {"full_name": "Nguyễn Thị Bình An"}),
        ("deleted", HAI, {}),
        ("inserted", "031200000001", later[2][2]),
    ]


async def test_what_the_agreement_hides_is_in_no_event_and_its_change_is_none(stream: Stream):
    subscription = await stream.followed()
    stream.change(
        "UPDATE person SET religion = 'đã đổi'",
        f"UPDATE person SET phone = '0912999978' WHERE personal_number = '{BINH}'",
        f"UPDATE person SET full_name = 'Không thuộc' WHERE personal_number = '{PHUONG}'",
    )

    assert await stream.compare() == 0
    arrived = json.dumps(await stream.arrived(subscription), ensure_ascii=False)
    assert "religion" not in arrived
    assert "0912345678" not in arrived
    assert PHUONG not in arrived
    async with stream.provider.local.pool.connection() as db:
        [sealed] = await (await db.execute("SELECT string_agg(sealed, '') FROM event")).fetchone()
    assert BINH.encode() not in bytes(sealed)


async def test_events_are_cloudevents_whose_attributes_name_nobody(stream: Stream):
    subscription = await stream.followed()

    first, second = await stream.arrived(subscription)

    assert first["specversion"] == "1.0"
    assert first["type"] == "vn.lienthong.row.inserted.v1"
    assert first["source"] == f"urn:lienthong:id:{CITIZEN}"
    assert (first["sequence"], second["sequence"]) == (f"{1:020d}", f"{2:020d}")
    assert first["id"] != second["id"]
    assert datetime.fromisoformat(first["time"]).tzinfo is not None
    attributes = {name: value for name, value in first.items() if name != "data"}
    assert BINH not in json.dumps(attributes)


async def test_each_reading_is_on_record_on_both_sides_and_names_those_it_tells_of(stream: Stream):
    await stream.followed()

    ours, theirs = (await stream.consumer.leaves())[-1], (await stream.provider.leaves())[-1]

    assert (ours["way"], theirs["way"], theirs["outcome"], theirs["rows"]) == ("event", "event", "permitted", 2)
    assert ours["exchange_id"] == theirs["exchange_id"]
    assert ours["agreement"]["digest"] == theirs["agreement"]["digest"]
    assert len(theirs["subjects"]) == 2
    before = len(await stream.provider.leaves())
    await stream.follower.follow_all()
    assert len(await stream.provider.leaves()) == before  # asking whether there is anything is no use


async def test_a_node_that_ends_between_fetching_and_keeping_loses_and_doubles_nothing(stream: Stream, monkeypatch):
    subscription = await stream.subscribe()
    await stream.compare()

    async def ended(*_, **__):
        raise RuntimeError("the power failed")

    with monkeypatch.context() as patch:
        patch.setattr("lienthong.events.follow.keep_arrived", ended)
        with pytest.raises(RuntimeError):
            await stream.follower.follow_all()
    assert await stream.arrived(subscription) == []

    restarted = Follower(
        stream.consumer.local.pool, stream.consumer.local.seal, stream.consumer.parts.link, stream.consumer.consumer
    )
    assert await restarted.follow_all() == 2
    assert await restarted.follow_all() == 0
    assert len(await stream.arrived(subscription)) == 2


async def test_a_provider_that_ends_before_it_kept_a_comparison_finds_the_same_changes_again(
    stream: Stream, monkeypatch
):
    subscription = await stream.followed()
    stream.change("UPDATE person SET full_name = 'Tên mới'")

    async def ended(*_, **__):
        raise RuntimeError("the power failed")

    with monkeypatch.context() as patch:
        patch.setattr("lienthong.events.feed.keep_comparison", ended)
        with pytest.raises(RuntimeError):
            await stream.compare()

    assert await stream.compare() == 2
    await stream.follower.follow_all()
    assert [told[0] for told in await stream.told(subscription)] == ["inserted", "inserted", "updated", "updated"]


async def test_a_system_reads_on_from_any_number_and_gets_the_same_again(stream: Stream):
    subscription = await stream.followed()

    page, reached = await stream.follower.read(COUNTER, subscription.id, 0, 1)
    rest, end = await stream.follower.read(COUNTER, subscription.id, reached, 10)

    assert [len(page), len(rest)] == [1, 1]
    assert await stream.follower.read(COUNTER, subscription.id, 0, 1) == (page, reached)
    assert await stream.follower.read(COUNTER, subscription.id, end, 10) == ([], end)


async def test_events_that_come_again_are_kept_once(stream: Stream):
    subscription = await stream.followed()
    first = (await stream.arrived(subscription))[0]
    stream.change(f"UPDATE person SET full_name = 'Tên mới' WHERE personal_number = '{BINH}'")
    await stream.compare()
    stream.bend.append(lambda body: body["events"].insert(0, first))

    await stream.follower.follow_all()

    assert [told[0] for told in await stream.told(subscription)] == ["inserted", "inserted", "updated"]
    assert await stream.state() == ("active", None)


@pytest.mark.parametrize(
    ("bent", "problem"),
    [
        (lambda body: body["events"].reverse(), EventsOutOfOrder),
        (lambda body: body["events"].pop(0), EventsOutOfOrder),
        (lambda body: body["events"].append(body["events"][-1]), EventsOutOfOrder),
        (lambda body: body["events"][0].pop("data"), EventsOutOfOrder),
        (lambda body: body.pop("events"), EventsOutOfOrder),
        (lambda body: body["events"][0].update(id="another/1"), EventsOutOfOrder),
        (lambda body: body["events"][0].update(type="vn.lienthong.row.updated.v1"), EventRowUnknown),
        (lambda body: body["events"][1]["data"]["key"].update(personal_number="000000000000"), EventRowUnknown),
    ],
    ids=[
        "backwards",
        "a gap",
        "twice in one",
        "no data",
        "no events",
        "another feed",
        "updated before inserted",
        "unknown row",
    ],
)
async def test_an_answer_out_of_order_is_refused_whole_and_the_next_good_one_is_kept(stream: Stream, bent, problem):
    subscription = await stream.followed()
    stream.change("UPDATE person SET full_name = 'Tên mới'", "DELETE FROM person WHERE province_code = '79'")
    if problem is EventRowUnknown:
        stream.change("INSERT INTO person VALUES ('000100000001', 'Em Bé', NULL, NULL, NULL, '31')")
    await stream.compare()
    stream.bend.append(bent)

    await stream.follower.follow_all()

    assert await stream.state() == ("active", problem.kind)
    assert len(await stream.arrived(subscription)) == 2
    stream.bend.clear()
    assert await stream.follower.follow_all() >= 2
    assert await stream.state() == ("active", None)


async def test_the_end_of_the_agreement_stops_the_stream_on_record(stream: Stream):
    subscription = await stream.followed()
    stream.change("UPDATE person SET full_name = 'Tên mới'")
    await stream.compare()
    stream.agree(the_agreement(ways=EVENTS, ended_at=datetime(2026, 1, 2, tzinfo=UTC)))

    assert await stream.follower.follow_all() == 0

    assert await stream.state() == ("stopped", "agreement-ended")
    assert len(await stream.arrived(subscription)) == 2
    last = (await stream.consumer.leaves())[-1]
    assert (last["way"], last["outcome"], last["reason"]) == ("event", "refused", "agreement-ended")
    assert await stream.follower.follow_all() == 0


async def test_an_end_that_only_the_provider_knows_of_stops_it_too(stream: Stream):
    await stream.followed()
    stream.provider.agreements[:] = [the_agreement(ways=EVENTS, ended_at=datetime(2026, 1, 2, tzinfo=UTC))]

    await stream.follower.follow_all()

    assert await stream.state() == ("stopped", "refused-by-provider")
    assert (await stream.provider.leaves())[-1]["reason"] == "agreement-ended"


async def test_an_agreement_that_does_not_name_events_allows_none(stream: Stream):
    stream.agree(the_agreement())

    with pytest.raises(TermsRefuse):
        await stream.subscribe()

    assert await stream.follower.listed(COUNTER) == []
    assert (await stream.consumer.leaves())[-1]["outcome"] == "refused"


async def test_a_renewed_agreement_that_shows_something_else_begins_a_new_feed_with_every_row(stream: Stream):
    subscription = await stream.followed()
    stream.agree(the_agreement(ways=EVENTS, fields=("personal_number", "full_name"), masks=()))

    await stream.follower.follow_all()
    await stream.compare()
    await stream.follower.follow_all()

    told = await stream.told(subscription)
    assert [kind for kind, _, _ in told] == ["inserted"] * 4
    assert set(told[2][2]) == {"full_name"}


@pytest.mark.parametrize("terms", [{"fields": ("full_name",)}, {"masks": (("personal_number", "partial"),)}])
async def test_events_without_a_visible_key_are_refused_by_the_provider(stream: Stream, terms):
    stream.agree(the_agreement(ways=EVENTS, row_filter=(), **({"fields": FIELDS, "masks": ()} | terms)))

    with pytest.raises(RefusedByProvider) as refused:
        await stream.subscribe()

    assert refused.value.body["type"].endswith(EventKeyHidden.kind)
    assert await stream.follower.listed(COUNTER) == []


async def test_a_key_that_names_two_rows_is_told_of_and_stops_no_other_feed(stream: Stream):
    stream.change(
        "ALTER TABLE person DROP CONSTRAINT person_pkey",
        f"INSERT INTO person SELECT * FROM person WHERE personal_number = '{BINH}'",
    )
    await stream.subscribe()

    assert await stream.compare() == 0

    async with stream.provider.local.pool.connection() as db:
        [problem] = await (await db.execute("SELECT problem FROM event_feed")).fetchone()
    assert problem == "event-key-not-unique"
    stream.change("DELETE FROM person a USING person b WHERE a.ctid < b.ctid AND a.personal_number = b.personal_number")
    assert await stream.compare() == 2


async def test_a_large_table_is_taken_whole_first_and_events_tell_what_changes(stream: Stream, monkeypatch):
    monkeypatch.setattr("lienthong.events.feed.MOST_INITIAL", 1)
    subscription = await stream.followed()
    stream.change(f"UPDATE person SET full_name = 'Tên mới' WHERE personal_number = '{BINH}'")
    await stream.compare()
    await stream.follower.follow_all()

    assert await stream.told(subscription) == [("updated", BINH, {"full_name": "Tên mới"})]
    [known] = await stream.follower.listed(COUNTER)
    assert known.bulk


async def test_the_owners_systems_subscribe_list_and_read_over_the_client_listener(stream: Stream):
    consumer = stream.consumer
    clients = (Client(COUNTER), Client("VN/GOV/H24/datdai"))
    parts = replace(consumer.parts, settings=replace(consumer.parts.settings, clients=clients))
    counter = Counter(
        parts, consumer.consumer, Descriptions(parts.link), _unused, _unused, _unused, _unused,
        events=EventCounter(stream.follower, the_pusher(stream)).answer,
    )  # fmt: skip
    listener = await serve_app(ClientDoor(counter), "127.0.0.1", 0)
    own, other = {"X-Road-Client": COUNTER}, {"X-Road-Client": "VN/GOV/H24/datdai"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}") as door:
        asked = {"service": CITIZEN, "purpose": PURPOSE}
        subscription = (await door.post("/events", json=asked, headers=own)).json()
        again = (await door.post("/events", json=asked, headers=own)).json()
        await stream.compare()
        await stream.follower.follow_all()
        listed = (await door.get("/events", headers=own)).json()["subscriptions"]
        read = (await door.get(f"/events/{subscription['id']}?after=0&limit=1", headers=own)).json()
        foreign = await door.get(f"/events/{subscription['id']}", headers=other)
        refused = [
            await door.post("/events", json={"service": 7}, headers=own),
            await door.get(f"/events/{subscription['id']}?after=x", headers=own),
            await door.get("/events"),
        ]
    await listener.stop(2.0)

    assert subscription["id"] == again["id"] == listed[0]["id"]
    assert (listed[0]["state"], listed[0]["sequence"]) == ("active", 2)
    assert len(read["events"]) == 1
    assert foreign.json()["type"].endswith("no-such-subscription")
    assert [answer.json()["type"].rsplit(":", 1)[1] for answer in refused] == [
        "bad-question", "bad-question", "xroad-client",
    ]  # fmt: skip


async def test_a_file_that_is_laid_down_anew_tells_what_changed_in_it(stream: Stream, tmp_path: Path):
    file = tmp_path / "people.csv"
    head = "personal_number,full_name,birth_date,phone,province_code\n"
    file.write_text(f"{head}{BINH},Bình,1999-05-02,0912345678,31\n{HAI},Hải,1985-11-20,,31\n", "utf-8")
    columns = (("personal_number", "VARCHAR"), ("full_name", "VARCHAR"), ("birth_date", "DATE"), ("phone", "VARCHAR"),
               ("province_code", "VARCHAR"))  # fmt: skip
    fields = tuple(column for column in stream.service.fields if column.name != "religion")
    source = TableSource("csv", path=str(file), columns=columns, csv=CsvFormat())
    stream.provider.services[CITIZEN] = replace(stream.service, fields=fields, source=source)
    subscription = await stream.followed()
    file.write_text(f"{head}{BINH},Bình,1999-05-02,0912345678,31\n{HAI},Hải,1985-11-21,,31\n", "utf-8")

    assert await stream.compare() == 1
    await stream.follower.follow_all()

    assert (await stream.told(subscription))[2:] == [("updated", HAI, {"birth_date": "1985-11-21"})]


async def test_the_command_subscribes_lists_and_reads(stream: Stream, monkeypatch: pytest.MonkeyPatch):
    parts = replace(stream.consumer.parts, settings=replace(stream.consumer.parts.settings, clients=(Client(COUNTER),)))
    counter = Counter(
        parts, stream.consumer.consumer, Descriptions(parts.link), _unused, _unused, _unused, _unused,
        events=EventCounter(stream.follower, the_pusher(stream)).answer,
    )  # fmt: skip
    listener = await serve_app(ClientDoor(counter), "127.0.0.1", 0)
    monkeypatch.setenv("LIENTHONG_NODE", f"http://127.0.0.1:{listener.port}")
    monkeypatch.setenv("LIENTHONG_CLIENT", COUNTER)

    async def run(*words: str) -> tuple[int, str]:
        done = await asyncio.to_thread(CliRunner().invoke, app, list(words))
        return done.exit_code, done.output

    code, said = await run("subscribe", CITIZEN, "--purpose", PURPOSE)
    await stream.compare()
    await stream.follower.follow_all()
    [subscription] = await stream.follower.listed(COUNTER)
    listed = await run("list")
    read = await run("read", subscription.id, "--limit", "1")
    unknown = await run("read", "nothing")
    await listener.stop(2.0)

    assert (code, subscription.id in said) == (0, True)
    assert listed == (0, f"{subscription.id}  {CITIZEN}  2  active\n")
    assert (read[0], len(json.loads(read[1])["events"])) == (0, 1)
    assert unknown[0] == 1


async def _unused(*_):
    raise Problem("not asked for here")
