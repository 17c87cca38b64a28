""" "Của tôi": a citizen comes in by a certified provider and sees who used data about them, and nobody else's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import httpx
import orjson
import psycopg
import pytest

from lienthong.access.models import Record, record_hash, write_record
from lienthong.node.facts import NodeFacts
from lienthong.node.gathered import gather
from lienthong.node.ownuses import BATCH, NodeOwnUses
from lienthong.portal.mine import HigherLevelNeeded, NoSuchUse, mine_pages
from lienthong.storage.provision import DatabaseDsns
from lienthong.trust.seal import Seal, commitment
from tests.identity.build import HERE, KEY
from tests.identity.portal import Small
from tests.identity.test_provider import _begun, _to_callback, real_portal
from tests.portal.axe import AXE, breaches, open_chromium

AN, OTHER = "031190000017", "031190000018"
SEAL = Seal(bytes(32))
NOW = datetime.now(UTC)


@pytest.fixture
def log(emptied: DatabaseDsns) -> Iterator[psycopg.Connection]:
    with psycopg.connect(emptied.owner, autocommit=True) as owner:
        yield owner
        owner.execute(
            "TRUNCATE record, entry, subject_use; UPDATE sequenced SET size = 0; UPDATE subject_looked SET size = 0"
        )


def a_record(db: psycopg.Connection, number: str, purpose: str = "VN/GOV/H24/thu-tuc", *, seal: Seal = SEAL) -> str:
    """A record of ours as provider about ``number``, in the log; returns its name."""
    idx = cast("tuple[int]", db.execute("SELECT size FROM sequenced").fetchone())[0]
    salt = idx.to_bytes(16)
    record = Record(
        "provider", f"x-{idx}", NOW, "nut-h24", "VN/GOV/G01/dancu", HERE, f"{HERE}/hotich/birth", "call", purpose,
        "law", None, None, "permitted", subjects=(commitment(salt, f"personal_number:{number}").hex(),), rows=1,
    )  # fmt: skip
    leaf = write_record(record)
    named = record_hash(leaf)
    detail = orjson.dumps({"salt": salt.hex(), "subjects": [["personal_number", number], ["parcel", AN]]})
    seq = cast(
        "tuple[int]",
        db.execute(
            "INSERT INTO record (hash, leaf, detail) VALUES (%s, %s, %s) RETURNING seq",
            (named, leaf, seal.encrypt(detail, named)),
        ).fetchone(),
    )[0]
    db.execute(
        "INSERT INTO entry (idx, seq, hash, at, side, exchange_id, consumer, provider, resource, way, purpose, outcome,"
        " rows) VALUES (%s, %s, %s, %s, 'provider', %s, %s, %s, %s, 'call', %s, 'permitted', 1)",
        (idx, seq, named, NOW, record.exchange_id, record.consumer, HERE, record.resource, purpose),
    )
    db.execute("UPDATE sequenced SET size = size + 1")
    return named.hex()


def own_uses(small: Small, visit_s: float = 60.0) -> NodeOwnUses:
    async def gathered():
        return gather(NOW, None, NodeFacts("nut-h24", "", "serving", 0, (), (), ()), (), synthetic=True)

    return NodeOwnUses(small.pool, SEAL, KEY, gathered, visit_s=visit_s)


async def signed_in(small: Small, person: str = "an") -> httpx.AsyncClient:
    browser = small.browser()
    back = await browser.get(await _to_callback(browser, await _begun(browser, next="/mine"), person=person))
    assert back.headers["location"] == "/mine", back.text
    return browser


async def test_a_citizen_sees_the_uses_of_their_own_data_and_asks_about_one(
    emptied: DatabaseDsns, log: psycopg.Connection
):
    about_an, about_other = a_record(log, AN), a_record(log, OTHER)
    lost = a_record(log, AN, seal=Seal(bytes(31) + b"x"))
    async with real_portal(emptied, lambda small: [mine_pages(small.pool, own_uses(small))]) as (small, _, _):
        browser = await signed_in(small)
        page = await browser.get("/mine")
        told = (await browser.get("/v1/mine")).json()
        shown = await browser.get(f"/en/mine/uses/{about_an}")
        fields = dict(re.findall(r'name="(token|form_key)" value="([^"]+)"', shown.text))
        nothing = await browser.post(f"/mine/uses/{about_an}", data={**fields, "text": "vì sao?"})
        asked = [
            await browser.post(f"/mine/uses/{about_an}", data={**fields, "matter": "object", "text": "<b>dừng</b>"})
            for _ in range(2)
        ]
        after = await browser.get(asked[0].headers["location"])
        absent = [
            (await browser.get(f"/mine/uses/{which}", headers={"Accept": "application/json"})).json()
            for which in (about_other, lost, "0" * 64, "none")
        ]
        stopped = await small.browser().get(f"/mine/uses/{about_an}")
        weak = await (await signed_in(small, "binh")).get("/mine", headers={"Accept": "application/json"})
        async with open_chromium() as chromium:
            faults = await _looked_at(chromium, small, browser, about_an)

    assert [use["record"] for use in told["uses"]] == [about_an]
    assert about_an in page.text
    assert about_other not in page.text
    assert AN not in page.text + shown.text
    assert (nothing.status_code, "vì sao?" in nothing.text) == (422, True)
    assert [each.status_code for each in asked] == [303, 303]
    opened = log.execute("SELECT kind, matter, owner, text, facts ->> 'record' FROM case_file").fetchall()
    assert opened == [("rights-request", "object", HERE, "<b>dừng</b>", about_an)], "sent twice, opened once"
    assert after.text.count('class="due"') == 1
    assert {each["type"] for each in absent} == {"urn:lienthong:problem:no-such-use"}
    assert len({each["detail"] for each in absent}) == 1, "somebody else's use and none look the same"
    assert stopped.headers["location"].startswith("/login?next=/mine/uses/")
    assert (weak.status_code, weak.json()["type"]) == (403, "urn:lienthong:problem:higher-level-needed")
    assert (NoSuchUse.kind, HigherLevelNeeded.kind) == ("no-such-use", "higher-level-needed")
    kept = log.execute("SELECT length(keyed) FROM person_number").fetchall()
    assert kept == [(32,)], "a number that is none is not kept"
    assert faults == []


async def _looked_at(chromium: Any, small: Small, browser: httpx.AsyncClient, record: str) -> list[str]:
    page = await chromium.new_page(viewport={"width": 360, "height": 780})
    await page.add_init_script(AXE)
    secret = str(browser.cookies.get(small.entrance.cookie))
    await page.context.add_cookies([{"name": small.entrance.cookie, "value": secret, "url": small.url}])
    faults: list[str] = []
    for address, theme in (("/mine", "dark"), ("/en/mine", "light"), (f"/mine/uses/{record}", "light"),
                           (f"/en/mine/uses/{record}", "dark")):  # fmt: skip
        await page.emulate_media(color_scheme=theme)
        await page.goto(small.url + address)
        faults += [f"{address}: {each}" for each in await breaches(page)]
        wide = await page.evaluate("document.documentElement.scrollWidth")
        faults += [f"{address}: {wide} wide"] if wide > 360 else []
    return faults


async def test_what_was_not_looked_through_yet_is_told_and_looked_through_once(
    emptied: DatabaseDsns, log: psycopg.Connection
):
    for _ in range(BATCH + 1):
        a_record(log, OTHER)
    a_record(log, AN)
    async with real_portal(emptied, lambda small: [mine_pages(small.pool, own_uses(small, 0.0))]) as (small, _, _):
        browser = await signed_in(small)
        first, second = [(await browser.get("/v1/mine")).json() for _ in range(2)]

    assert (first["not_looked_through"], first["uses"]) == (2, [])
    assert (second["not_looked_through"], len(second["uses"])) == (0, 1)
