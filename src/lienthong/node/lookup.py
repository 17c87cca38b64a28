"""The look-up across the national databases, by calls through this node's own client listener.

The same door that every system of the owner uses: the same agreements, quotas, records and receipts.  The officer goes
along as a pseudonym (X-Road-UserId), the case as X-Road-Issue; codes travel in bodies alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, cast

import aiohttp
import orjson
import structlog

from lienthong.access import queries
from lienthong.config import Lookup
from lienthong.directory.models import MemberId, member_of
from lienthong.identity.models import Actor
from lienthong.node.copies import client_url, token_of
from lienthong.node.local import Local
from lienthong.portal.national import Found, Refusal, Register, Start, Step
from lienthong.storage.pool import Pool, reading

log = structlog.get_logger("lienthong.lookup")
MOST_FIRMS: Final = 5
"""Firms whose land is asked for in one look-up."""
DEADLINE_S: Final = 65.0

Ask = Callable[[Register, str, str], Awaitable[Step]]
"""Register, field, value -> the call's step."""


def lookup_desk(local: Local) -> NodeLookup | None:
    """The desk as it is set up; None without ``lookup``."""
    wanted, settings = local.settings.lookup, local.settings
    if wanted is None:
        return None
    return NodeLookup(wanted, local.pool, client_url(settings), token_of(local, wanted.system))


class NodeLookup:
    """See ``portal.national.LookupDesk``."""

    def __init__(self, wanted: Lookup, pool: Pool, client_url: str, token: str = "") -> None:
        self._wanted = wanted
        self._pool = pool
        self._client_url = client_url
        self._token = token

    @property
    def member(self) -> MemberId:
        """The member whose system calls."""
        return member_of(self._wanted.system)

    async def look_up(self, start: Start, code: str, *, actor: Actor, case: str) -> Found:
        """Every step as far as the answers lead."""
        headers = {
            "X-Road-Client": self._wanted.system,
            "Lienthong-Purpose": self._wanted.purpose,
            "X-Road-UserId": actor.person or "",
            "X-Road-Issue": case,
            "Accept": "application/json",
            **({"Lienthong-Token": self._token} if self._token else {}),
        }
        services: Mapping[Register, str] = {
            "person": self._wanted.person,
            "firm": self._wanted.firm,
            "parcel": self._wanted.parcel,
        }
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=False) as session:

            async def ask(register: Register, by: str, value: str) -> Step:
                return await self._call(session, register, services[register], by, value)

            return await follow(ask, start, code)

    async def _call(
        self, session: aiohttp.ClientSession, register: Register, service: str, by: str, value: str
    ) -> Step:
        try:
            async with session.post(f"{self._client_url}/r1/{service}", json={by: value}) as answer:
                record, content = answer.headers.get("Lienthong-Record", ""), await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as failed:
            log.warning("lookup.not-asked", service=service, error=type(failed).__name__)
            return Step(register, service, by, (), "", Refusal("", "This node's own gateway did not answer."))
        told = _told(content)
        if status == 200 and isinstance(told.get("rows"), list):
            return Step(register, service, by, tuple(cast("list[dict[str, object]]", told["rows"])), record)
        return Step(
            register, service, by, (), record, Refusal(await self._reason(record), str(told.get("message", "")))
        )

    async def _reason(self, record: str) -> str:
        """The kind of problem that our own record of the call names."""
        if not record:
            return ""
        async with reading(self._pool) as db:
            stored = await queries.stored_record(db, bytes.fromhex(record))
        leaf: dict[str, Any] = orjson.loads(bytes(stored.leaf)) if stored else {}
        return str(leaf.get("reason") or "")


async def follow(ask: Ask, start: Start, code: str) -> Found:
    """From ``code`` through the registers; what does not hang on another answer is asked at once."""
    match start:
        case "personal-number":
            return await _of_person(ask, code)
        case "enterprise-code":
            firm, parcels = await asyncio.gather(ask("firm", "enterprise_code", code), _land(ask, code))
            persons = await _each(ask, "person", "personal_number", _values(firm, "representative_number"))
            return Found((firm, *persons, parcels))
        case "parcel":
            parcel = await ask("parcel", "parcel_id", code)
            owners = {str(row.get("owner_code")): row.get("owner_kind") for row in parcel.rows if row.get("owner_code")}
            found: list[Step] = []
            for owner, kind in owners.items():
                found.append(
                    await ask("firm", "enterprise_code", owner)
                    if kind == "enterprise"
                    else await ask("person", "personal_number", owner)
                )
            return Found((parcel, *found))


async def _of_person(ask: Ask, number: str) -> Found:
    person, firms, parcels = await asyncio.gather(
        ask("person", "personal_number", number), ask("firm", "representative_number", number), _land(ask, number)
    )
    codes = _values(firms, "enterprise_code")
    of_firms = [replace(each, of_firm=True) for each in await _each(ask, "parcel", "owner_code", codes[:MOST_FIRMS])]
    return Found((person, firms, parcels, *of_firms), max(0, len(codes) - MOST_FIRMS))


def _land(ask: Ask, owner: str) -> Awaitable[Step]:
    return ask("parcel", "owner_code", owner)


async def _each(ask: Ask, register: Register, by: str, values: Iterable[str]) -> list[Step]:
    return list(await asyncio.gather(*(ask(register, by, value) for value in values)))


def _values(step: Step, name: str) -> list[str]:
    """The different values of a field, in their order."""
    return list(dict.fromkeys(str(row[name]) for row in step.rows if row.get(name)))


def _told(content: bytes) -> dict[str, object]:
    try:
        told: object = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return cast("dict[str, object]", told) if isinstance(told, dict) else {}
