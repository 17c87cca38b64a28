"""Copies of other members' tables beside their sources: compared every day, differing rows handed to the two sides.

One comparison is one SQL question through this node's own client listener (``query.digests``): decided under the
agreement, on record at both sides.  Corrections go to the source as cases of its own (``node.corrections``).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, cast

import aiohttp
import orjson
import structlog

from lienthong.access.gate import targets_of
from lienthong.agreements.index import AgreementIndex
from lienthong.agreements.policy import Request, decide_among
from lienthong.config import Copy, Settings
from lienthong.directory.models import SystemId
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.node import queries
from lienthong.node.local import Local
from lienthong.query.digests import KEY_BYTES, Compared, NotComparable, comparison_sql, read_comparison
from lienthong.storage.pool import Pool, reading

log = structlog.get_logger("lienthong.copies")
EVERY: Final = timedelta(hours=24)
AFTER_REFUSAL: Final = timedelta(hours=1)
LOOK_EVERY_S: Final = 600.0
DEADLINE_S: Final = 120.0
TOKENS: Final = "client-token-"
"""Beginning of the name of a file in ``data/secrets`` with the token of a system, the rest its last part."""
_ANY: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound


class CopyUnknown(Problem):
    """No copy of this name is configured on this node."""

    kind: ClassVar[str] = "copy-unknown"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("There is no such copy here")


class ComparisonFailed(Problem):
    """The source, or this node's own gateway, did not answer the comparison."""

    kind: ClassVar[str] = "comparison-failed"
    status: ClassVar[int] = 502
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The copy could not be compared")

    def __init__(self, cause: str, told: str) -> None:
        """``cause``: kind of the problem that was told, or "" when nothing answered."""
        super().__init__(
            T("The comparison was not answered: {told}"),
            mend=T("Look at the agreement with the source, then compare again."),
            told=told[:300],
        )
        self.cause = cause or self.kind


@dataclass(frozen=True, slots=True)
class Copies:
    """The node's copies; ``client_url`` is its own client listener."""

    pool: Pool
    copies: tuple[Copy, ...]
    client_url: str
    token_of: Callable[[str], str] = lambda system: ""

    def named(self, copy: str) -> Copy:
        """The copy that is this service.  Raises CopyUnknown."""
        for each in self.copies:
            if each.copy == copy:
                return each
        raise CopyUnknown(
            T("No copy {copy} is configured on this node."), mend=T("See [[copies]] in its settings."), copy=copy[:200]
        )

    async def compare(self, copy: str, now: datetime) -> Compared:
        """Compare one copy with its source and keep what was found; a refusal is kept as well.

        Raises CopyUnknown, NotComparable, ComparisonFailed.
        """
        wanted = self.named(copy)
        try:
            await self._check_masks(wanted, now)
            answer = await self._ask(wanted)
        except (NotComparable, ComparisonFailed) as failed:
            async with self.pool.connection() as db:
                cause = failed.cause if isinstance(failed, ComparisonFailed) else failed.kind
                await queries.keep_refusal(db, wanted.copy, wanted.source, now, cause)
            raise
        compared = read_comparison(cast("Sequence[Sequence[object]]", answer["rows"]), wanted.fields)
        asked = next(
            each for each in cast("list[dict[str, str | None]]", answer["sources"]) if each["service"] == wanted.source
        )
        row = queries.CopyRow(
            wanted.copy, wanted.source, now, compared.same, compared.differing, compared.only_here,
            compared.only_there, dict(compared.by_field), asked["agreement"] or "", asked["record"] or "", "",
        )  # fmt: skip
        async with self.pool.connection() as db:
            await queries.keep_comparison(
                db, row, [(each.key, each.kind, each.fields) for each in compared.differences]
            )
        return compared

    async def compare_due(self, now: datetime) -> int:
        """Compare every copy whose last comparison is a day old, a refused one an hour; how many were compared."""
        async with reading(self.pool) as db:
            last = {
                (row.copy, row.source): row.at + (AFTER_REFUSAL if row.refusal else EVERY)
                for row in await queries.copies_compared(db)
            }
        compared = 0
        for each in self.copies:
            due = last.get((each.copy, each.source))
            if due is None or due <= now:
                try:
                    await self.compare(each.copy, now)
                    compared += 1
                except Problem as failed:
                    log.warning("copies.not-compared", copy=each.copy, error=failed.kind)
        return compared

    async def _check_masks(self, wanted: Copy, now: datetime) -> None:
        """Refuse fields that the source shows masked: every row of them would seem to differ."""
        index = AgreementIndex()
        async with reading(self.pool) as db:
            await index.reload(db)
        service, dataset = targets_of(wanted.source)
        system = SystemId(wanted.system)
        asked = Request(
            consumer=system, target=service, dataset=dataset, way="query", purpose=wanted.purpose, at=now,
            fields=frozenset((wanted.key, *wanted.fields)),
        )  # fmt: skip
        decision = decide_among(index.find(system, (service, dataset)), asked, lambda _: 0)
        masked = sorted(set(decision.masks) & {wanted.key, *wanted.fields})
        if masked:
            raise NotComparable(
                T("The agreement masks {fields}: a masked value can not be compared."),
                mend=T("Leave the field out, or agree on showing it."),
                fields=", ".join(masked),
            )

    async def _ask(self, wanted: Copy) -> Mapping[str, Any]:
        secret = secrets.token_hex(KEY_BYTES)
        sql = comparison_sql(wanted.copy, wanted.source, wanted.key, wanted.fields, secret)
        token = self.token_of(wanted.system)
        headers = {"X-Road-Client": wanted.system} | ({"Lienthong-Token": token} if token else {})
        timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=False) as session,
                session.post(f"{self.client_url}/sql", json={"sql": sql, "purpose": wanted.purpose}) as answer,
            ):
                told: dict[str, Any] = orjson.loads(await answer.read())
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as failed:
            raise ComparisonFailed("", type(failed).__name__) from failed
        if status != 200:
            kind = str(told.get("type", "")).removeprefix("urn:lienthong:problem:")
            raise ComparisonFailed(kind, str(told.get("detail", "")))
        if told.get("truncated"):
            raise ComparisonFailed("answer-too-large", "more rows differ than one answer may hold")
        return told


def copies_of(local: Local) -> Copies:
    """The copies of this node, asked for through its own client listener."""
    return Copies(local.pool, local.settings.copies, client_url(local.settings), lambda name: token_of(local, name))


def client_url(settings: Settings) -> str:
    """The address of the node's own client listener, from this machine."""
    host = "127.0.0.1" if settings.client_host in _ANY else settings.client_host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.client_port}"


def token_of(local: Local, system: str) -> str:
    """The bearer token of one of the owner's systems, from ``data/secrets/client-token-<last part>``; "" for none."""
    file = local.settings.data / "secrets" / (TOKENS + system.rsplit("/", 1)[-1])
    return file.read_text("utf-8").strip() if file.exists() else ""


async def compare_copies(local: Local) -> None:
    """Compare copies as they fall due, for as long as the node runs."""
    copies = copies_of(local)
    while copies.copies:
        await asyncio.sleep(LOOK_EVERY_S)
        await copies.compare_due(datetime.now(UTC))
    await asyncio.Event().wait()  # no copies: the job has nothing to do, and does not end
