"""What Hải Phòng does with the data: calls three registers, takes two tables, asks across all of them; keeps receipts.

Everything goes through the doors that any system of the city would use; every receipt is checked by the separate
verifier before the demo says that it worked.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from lienthong.demo.country import (
    ANALYSIS_SYSTEM,
    CITIZEN,
    FIRMS,
    HAI_PHONG,
    ONE_STOP,
    ONE_STOP_SYSTEM,
    PARCELS,
    STATISTICS,
    UNITS,
)
from lienthong.demo.found import Site
from lienthong.demo.places import HOME_PROVINCE
from lienthong.demo.queries import database_of, somebody_of
from lienthong.storage.pool import connect

RECEIPT_WAIT_S: Final = 20.0
COSIGNED_WAIT_S: Final = 3.0
"""How long a receipt with a proof may wait for its witnesses."""
HOUSEHOLDS_SQL: Final = """
SELECT c.gender, c.people, f.firms
  FROM (SELECT gender, count(*) AS people FROM g01.dancu.citizen GROUP BY gender) AS c
  LEFT JOIN (SELECT count(*) AS firms FROM g12.doanhnghiep.firm) AS f ON true
 ORDER BY c.gender
"""
COMMUNES_SQL: Final = """
WITH people AS (SELECT commune_code, count(*) AS people FROM g01.dancu.citizen GROUP BY commune_code),
     parcels AS (SELECT commune_code, count(*) AS parcels, sum(area_m2) AS total_area_m2
                   FROM g10.datdai.parcel GROUP BY commune_code)
SELECT u.full_name, p.people, l.parcels, l.total_area_m2
  FROM ndc.danhmuc.unit AS u
  LEFT JOIN people AS p ON p.commune_code = u.code
  LEFT JOIN parcels AS l ON l.commune_code = u.code
 WHERE u.province_code = '31' AND u.level = 'commune' AND u.valid_to IS NULL
 ORDER BY p.people DESC NULLS LAST, u.full_name
 LIMIT 10
"""
"""Communes of the city; a figure over fewer rows than the agreement's smallest group is left out, not the commune."""


@dataclass(frozen=True, slots=True)
class ReceiptMade:
    """A receipt that was fetched and checked."""

    side: str
    node: str
    record: str
    file: str
    verified: bool


@dataclass(frozen=True, slots=True)
class UseMade:
    """One use and what came of it."""

    way: str
    resource: str
    purpose: str
    outcome: str
    rows: int
    agreement_digest: str | None
    receipts: tuple[ReceiptMade, ...]

    @property
    def as_meant(self) -> bool:
        """Every use of the demo is meant to be permitted and to find something."""
        return self.outcome == "permitted" and self.rows > 0

    def as_dict(self) -> dict[str, object]:
        """For ``demo.json`` and ``--once``."""
        return asdict(self)


UseTask = asyncio.Task[UseMade]
CheckReceipt = Callable[[dict[str, Any]], bool]
"""The separate verifier, given by the command: nothing here knows it."""


async def make_uses(sites: Sequence[Site], folder: Path, check: CheckReceipt) -> list[UseMade]:
    """Make all uses, one after the other; their receipts are fetched and checked while the next ones are made."""
    home = next(site for site in sites if site.actor.member.id == HAI_PHONG)
    city = _City(sites, home, folder / "receipts", check)
    city.receipts.mkdir(exist_ok=True, mode=0o700)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        person, owner, representative = await _known_people(sites)
        async with asyncio.TaskGroup() as checking:
            city.checking = checking
            made = [
                await city.call(session, CITIZEN.service, {"personal_number": person}),
                await city.call(session, PARCELS.service, {"owner_code": owner}),
                await city.call(session, FIRMS.service, {"representative_number": representative}),
                await city.call(session, UNITS.service, {"code": HOME_PROVINCE, "level": "province"}),
                await city.take(session, CITIZEN.service, ONE_STOP),
                await city.take(session, UNITS.service, STATISTICS),
                *await city.ask(session, COMMUNES_SQL, STATISTICS),
                *await city.ask(session, HOUSEHOLDS_SQL, STATISTICS),
            ]
        return [use.result() for use in made]


@dataclass(slots=True)
class _City:
    sites: Sequence[Site]
    home: Site
    receipts: Path
    check: CheckReceipt
    checking: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)
    """Where receipts are fetched and checked, each by a task whose result is the use."""

    @property
    def client_url(self) -> str:
        return _client_url(self.home)

    async def call(self, session: aiohttp.ClientSession, service: str, wanted: Mapping[str, str]) -> UseTask:
        headers = {"X-Road-Client": ONE_STOP_SYSTEM, "Lienthong-Purpose": ONE_STOP, "Accept": "application/json"}
        async with session.post(f"{self.client_url}/r1/{service}", json=wanted, headers=headers) as answer:
            body: Any = await answer.json(content_type=None)
            record = answer.headers.get("Lienthong-Record", "")
            rows = len(body["rows"]) if answer.status == 200 else 0
        return self._checked(self._made(session, "call", service, ONE_STOP, rows, self.home, record))

    async def take(self, session: aiohttp.ClientSession, service: str, purpose: str) -> UseTask:
        """Take a table as any Delta Sharing client would: profile, query, files."""
        agreement = await self._agreement_of(session, service)
        async with session.post(
            f"{self.client_url}/share/profile",
            json={"agreement": agreement, "purpose": purpose},
            headers={"X-Road-Client": ONE_STOP_SYSTEM if purpose == ONE_STOP else ANALYSIS_SYSTEM},
        ) as answer:
            granted: Any = await answer.json(content_type=None)
        if "profile" not in granted:
            return self._checked(_refused("table", service, purpose, granted))
        profile = granted["profile"]
        share, schema, table = granted["table"].split(".")
        bearer = {"Authorization": f"Bearer {profile['bearerToken']}"}
        url = f"{profile['endpoint'].rstrip('/')}/shares/{share}/schemas/{schema}/tables/{table}/query"
        async with session.post(url, json={}, headers=bearer) as answer:
            lines = (await answer.text()).splitlines()
        files = [json.loads(line)["file"] for line in lines if '"file"' in line[:10]]
        rows = 0
        for file in files:
            async with session.get(file["url"]) as answer:
                content = await answer.read()
                whole = answer.status == 200 and content[:4] == content[-4:] == b"PAR1"
            rows += json.loads(file["stats"])["numRecords"] if whole else 0
        provider = self._site_of(service)
        reading = files[0]["url"].split("/files/", 1)[1].split("/", 1)[0] if files else ""

        async def receipts() -> UseMade:
            record = await self._record_of(session, provider, reading)
            return await self._made(session, "table", service, purpose, rows, provider, record)

        return self._checked(receipts())

    async def _record_of(self, session: aiohttp.ClientSession, provider: Site, reading: str) -> str:
        """The provider's record that the reading was opened."""
        until = time.monotonic() + RECEIPT_WAIT_S
        while time.monotonic() < until:
            async with session.get(f"{provider.settings.public_url}/v1/uses?exchange={reading}") as answer:
                uses: Any = (await answer.json(content_type=None))["uses"]
            if uses:
                return str(uses[0]["hash"])
            await asyncio.sleep(0.1)
        return ""

    async def ask(self, session: aiohttp.ClientSession, sql: str, purpose: str) -> list[UseTask]:
        """One question; one use for each member's table that it read."""
        headers = {"X-Road-Client": ANALYSIS_SYSTEM}
        async with session.post(
            f"{self.client_url}/sql", json={"sql": sql, "purpose": purpose}, headers=headers
        ) as answer:
            body: Any = await answer.json(content_type=None)
            permitted = answer.status == 200
        if not permitted:
            return [self._checked(_refused("query", "-", purpose, body))]
        rows = len(body["rows"])
        return [
            self._checked(self._made(session, "query", source["service"], purpose, rows, self.home, source["record"]))
            for source in body["sources"]
        ]

    def _checked(self, use: Coroutine[Any, Any, UseMade]) -> UseTask:
        return self.checking.create_task(use)

    async def _made(
        self, session: aiohttp.ClientSession, way: str, service: str, purpose: str, rows: int, writer: Site, record: str
    ) -> UseMade:
        """Fetch and check the receipt of ``record`` and, where it names one, of the other side's."""
        receipts: list[ReceiptMade] = []
        leaf: dict[str, Any] = {"outcome": "failed", "agreement": None}
        if record:
            receipt = await self._receipt(session, writer, record)
            leaf = json.loads(receipt["record"])
            receipts.append(self._kept(receipt, writer, record))
            peer = leaf.get("peer_record")
            if peer:
                other = self._site_of(service)
                receipts.append(self._kept(await self._receipt(session, other, peer), other, peer))
        agreement = leaf["agreement"]
        return UseMade(
            way, service, purpose, leaf["outcome"], rows, agreement["digest"] if agreement else None, tuple(receipts)
        )

    async def _receipt(self, session: aiohttp.ClientSession, writer: Site, record: str) -> dict[str, Any]:
        until, covered = time.monotonic() + RECEIPT_WAIT_S, False
        while True:
            # The writer's own door: the public one may hold the messages back.
            async with session.get(f"{_client_url(writer)}/log/receipt/{record}") as answer:
                receipt: dict[str, Any] = await answer.json(content_type=None)
            if receipt.get("proof") and not covered:
                covered, until = True, min(until, time.monotonic() + COSIGNED_WAIT_S)
            stated = receipt.get("witnesses") or {}
            cosigned = len(stated.get("cosigned", ())) >= stated.get("threshold", 0)
            if (covered and cosigned) or time.monotonic() > until:
                return receipt
            await asyncio.sleep(0.1)

    def _kept(self, receipt: dict[str, Any], writer: Site, record: str) -> ReceiptMade:
        file = self.receipts / f"{record[:16]}-{writer.settings.node}.json"
        file.write_text(json.dumps(receipt, ensure_ascii=False), "utf-8")
        side = str(json.loads(receipt["record"])["side"])
        return ReceiptMade(side, writer.settings.node, record, str(file), self.check(receipt))

    async def _agreement_of(self, session: aiohttp.ClientSession, service: str) -> str:
        async with session.get(f"{self.home.settings.public_url}/v1/agreements") as answer:
            listed: Any = await answer.json(content_type=None)
        target = f'"target":"urn:lienthong:id:{service}"'
        return next((each["id"] for each in listed["agreements"] if target in each["document"]), "")

    def _site_of(self, service: str) -> Site:
        return next(site for site in self.sites if service.startswith(site.actor.member.id + "/"))


def _client_url(site: Site) -> str:
    return f"http://127.0.0.1:{site.settings.client_port}"


async def _refused(way: str, service: str, purpose: str, problem: Mapping[str, Any]) -> UseMade:
    return UseMade(way, service, purpose, str(problem.get("type", "failed")), 0, None, ())


async def _known_people(sites: Sequence[Site]) -> tuple[str, str, str]:
    """A resident, a land user and a firm's representative of the city, so that the calls find somebody."""
    found: list[str] = []
    for offer, column in ((CITIZEN, "personal_number"), (PARCELS, "owner_code"), (FIRMS, "representative_number")):
        site = next(site for site in sites if offer in site.actor.offers)
        superuser = site.settings.database or ""
        async with await connect(database_of(superuser, site.source_database)) as db:
            found.append(
                await somebody_of(db, offer.register.table, column, HOME_PROVINCE, persons_only=offer is PARCELS)
            )
    return found[0], found[1], found[2]
