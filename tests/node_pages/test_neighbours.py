"""The national page can not be held up, broken or lied to by what another node publishes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lienthong.exchange.listen import serve_app
from lienthong.node import neighbours
from lienthong.node.pages import NodePages
from lienthong.portal.models import Name
from lienthong.trust.keys import generate_ed25519
from lienthong.trust.note import Checkpoint, sign_checkpoint
from tests.node_pages.country import Country
from tests.use.nodes import POLICE, PROVINCE
from tests.use.test_use import a_wish


class Scripted:
    """What listens on the police's public address instead of its node: answers what a test says, counts questions."""

    def __init__(self, country: Country) -> None:
        self.country = country
        self.asked: list[str] = []
        self.answers: dict[str, str | bytes] = {"/livez": "{}"}
        self.hanging = asyncio.Event()
        self.released = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        answer = self.answers.get(request.url.path)
        if answer == "hang":
            self.hanging.set()
            await self.released.wait()
        if answer == "elsewhere":
            return Response(status_code=307, headers={"Location": self.country.province.url + request.url.path})
        return PlainTextResponse(answer) if answer else PlainTextResponse("no", 404)

    truth: dict[str, str]
    """What the real node published, by path."""

    def repeat(self, **changed: object) -> None:
        """Publish what the real node does, with some values of each record, service or agreement changed."""
        for path, name in (("/v1/uses", "uses"), ("/v1/services", "services"), ("/v1/agreements", "agreements")):
            real = json.loads(self.truth[path])
            for each in real[name]:
                each |= {key: value for key, value in changed.items() if key in each}
            self.answers[path] = json.dumps(real)
        self.answers["/log/checkpoint"] = self.truth["/log/checkpoint"]


@pytest.fixture
async def liar(country: Country) -> AsyncIterator[Scripted]:
    """Somebody at the police's address who knows what its node has published after one use."""
    await country.use(a_wish())
    scripted = Scripted(country)
    paths = ("/v1/uses", "/v1/services", "/v1/agreements", "/log/checkpoint")
    scripted.truth = {path: (await country.get(country.police.url + path))[1] for path in paths}
    await country.police.silence()
    app = Starlette(routes=[Route("/{path:path}", scripted.answer)])
    listener = await serve_app(app, "127.0.0.1", country.police.local.settings.public_port)
    yield scripted
    scripted.released.set()
    await listener.stop(1.0)


async def seen(country: Country):
    """What the national page shows once every node has answered or been given up."""
    await country.national.pages.home()
    await asyncio.gather(*(watch.asking for watch in country.national.pages._neighbours._watches.values()))
    return await country.national.pages.home()


async def police_seen(country: Country):
    """The police's line on the national page, and the whole page."""
    home = await seen(country)
    return next(line for line in home.members if line.id == POLICE), home


def next_round(country: Country) -> None:
    """Let the second pass after which nodes are asked again, by the clock of those who ask."""
    for watch in country.national.pages._neighbours._watches.values():
        watch.asked -= neighbours.EVERY_S


async def test_a_node_that_repeats_its_real_facts_is_believed(country, liar):
    liar.repeat()

    line, home = await police_seen(country)

    assert (line.health, line.log_size, line.services) == ("serving", 1, (Name("Công dân", "Citizens"),))
    assert [link.side for link in home.uses[0].records] == ["consumer", "provider"]


async def test_a_silent_node_is_shown_as_silent_with_what_was_last_known_of_it(country):
    await country.use(a_wish())
    before = await country.national.pages.home()
    await country.police.silence()
    next_round(country)

    line, after = await police_seen(country)

    assert (line.health, line.log_size, line.services) == ("silent", 1, (Name("Công dân", "Citizens"),))
    assert after.uses[0].records == before.uses[0].records
    assert after.uses[0].agreement_url == f"{country.province.url}/agreements/{after.uses[0].agreement_digest}"


async def test_the_page_is_shown_with_a_node_as_starting_while_its_first_answer_keeps_us_waiting(country, liar):
    liar.answers["/livez"] = "hang"
    asked = neighbours.Neighbours(timeout_s=60.0, patience_s=0.01)
    pages = NodePages(country.national.local, neighbours=asked)

    await pages.home()
    await liar.hanging.wait()
    await next(watch.asking for (node, _), watch in asked._watches.items() if node == "nut-h24")
    home = await pages.home()

    assert not liar.released.is_set()
    assert {line.node: line.health for line in home.members} == {
        "nut-quoc-gia": "serving", "nut-h24": "serving", "nut-g01": "starting"
    }  # fmt: skip
    await pages.close()


async def test_a_node_that_takes_too_long_is_silent(country, liar):
    liar.repeat()
    liar.answers["/livez"] = "hang"
    pages = NodePages(country.national.local, neighbours=neighbours.Neighbours(timeout_s=0.05, patience_s=60.0))

    home = await pages.home()

    assert {line.node: line.health for line in home.members}["nut-g01"] == "silent"
    await pages.close()


async def test_a_node_that_lives_but_does_not_tell_everything_is_starting(country, liar):
    line, _ = await police_seen(country)

    assert (line.health, line.log_size) == ("starting", None)


async def test_readers_at_once_or_soon_after_each_other_ask_a_node_once(country, liar):
    liar.repeat()
    asked = neighbours.Neighbours(every_s=3600.0, timeout_s=60.0, patience_s=60.0)
    pages = NodePages(country.national.local, neighbours=asked)

    await asyncio.gather(*(pages.home() for _ in range(25)))
    await pages.home()

    assert liar.asked.count("/livez") == liar.asked.count("/v1/uses") == 1
    await pages.close()


async def test_what_a_node_claims_of_others_is_left_out(country, liar):
    liar.repeat(provider=PROVINCE, id=f"{PROVINCE}/motcua/citizen", provider_jws="e30..AAAA")
    await country.province.silence()

    line, home = await police_seen(country)

    assert (line.health, line.services, home.uses, home.agreements) == ("serving", (), (), ())


async def test_a_checkpoint_that_the_nodes_own_log_did_not_sign_says_nothing(country, liar):
    liar.repeat()
    origin = country.police.local.files.origin
    forged = sign_checkpoint(Checkpoint(origin, 1_000_000, bytes(32)), generate_ed25519(), origin)
    liar.answers["/log/checkpoint"] = forged.decode()

    line, _ = await police_seen(country)

    assert (line.health, line.log_size) == ("serving", None)


async def test_an_answer_of_another_shape_leaves_the_node_starting(country, liar):
    liar.repeat()
    liar.answers["/v1/uses"] = b"[" * 100_000

    line, home = await police_seen(country)

    assert line.health == "starting"
    assert [[link.side for link in use.records] for use in home.uses] == [["consumer"]]


async def test_an_answer_larger_than_any_honest_one_is_not_read_to_the_end(country, liar, monkeypatch):
    liar.repeat()
    monkeypatch.setattr(neighbours, "LARGE", len(liar.answers["/v1/uses"]) - 1)

    line, _ = await police_seen(country)

    assert line.health == "starting"


async def test_a_node_is_not_followed_to_another_address(country, liar):
    liar.repeat()
    liar.answers["/v1/uses"] = "elsewhere"

    line, _ = await police_seen(country)

    assert line.health == "starting"
