"""What the pages about copies do on this node: counts with names, rows for case officers, corrections sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from lienthong.catalog.queries import all_services
from lienthong.directory.models import ServiceId, member_of
from lienthong.i18n import T
from lienthong.identity.audit import put_down
from lienthong.identity.models import Actor
from lienthong.node import queries
from lienthong.node.copies import ComparisonFailed, Copies, CopyUnknown
from lienthong.node.corrections import MOST_ROWS, WrongRow, ask_for_corrections
from lienthong.node.desk import open_desk
from lienthong.node.local import Local
from lienthong.node.pages import NodePages
from lienthong.portal.copies import CopyLine, DifferingRow
from lienthong.portal.deeds import Facts
from lienthong.portal.models import Name
from lienthong.query.digests import NotComparable
from lienthong.storage.pool import reading

COPY_PROBLEMS: Final = (CopyUnknown, NotComparable, ComparisonFailed)
"""What the deeds about copies may raise, beside what their messages to the source meet."""


class NodeCopyDesk:
    """See ``portal.copies.CopyDesk``."""

    def __init__(self, local: Local, copies: Copies, pages: NodePages) -> None:
        self._local = local
        self._copies = copies
        self._pages = pages

    async def copies(self) -> Sequence[CopyLine]:
        """Every copy, with its newest comparison."""
        named = await self._pages.gathered()
        async with reading(self._local.pool) as db:
            known = {(row.copy, row.source): row for row in await queries.copies_compared(db)}
            own = {service.id: Name(service.title_vi, service.title_en) for service in await all_services(db)}
        lines: list[CopyLine] = []
        for each in self._copies.copies:
            row = known.get((each.copy, each.source))
            line = CopyLine(
                copy=each.copy,
                source=each.source,
                member=member_of(each.copy),
                owner=named.member_name(member_of(each.copy)),
                title=own.get(ServiceId(each.copy)) or named.title(each.copy),
                source_owner=named.member_name(member_of(each.source)),
                key=each.key,
                fields=tuple(each.fields),
                at=row.at if row else None,
            )
            lines.append(line if row is None else _with_counts(line, row))
        return sorted(lines, key=lambda line: (line.source, line.copy))

    async def rows(self, copy: str, most: int, after: str) -> Sequence[DifferingRow]:
        """Rows that differed in the newest comparison."""
        source = self._source(copy)
        async with reading(self._local.pool) as db:
            found = await queries.differences_of(db, copy, source, most, after)
        return [DifferingRow(row.key, row.kind, tuple(row.fields), row.case) for row in found]

    async def compare(self, copy: str, actor: Actor) -> Facts:
        """Compare now, and put down who wanted it."""
        now = datetime.now(UTC)
        compared = await self._copies.compare(copy, now)
        async with self._local.pool.connection() as db:
            await put_down(db, actor, "copy.compared", copy, {}, now=now)
        return {
            "copy": copy, "same": compared.same, "differing": compared.differing, "only_here": compared.only_here,
            "only_there": compared.only_there,
        }  # fmt: skip

    async def correct(self, copy: str, keys: Sequence[str], reason: str, actor: Actor) -> Facts:
        """Send the rows to the source and note its cases; a row that was asked for before keeps its case."""
        wanted, now = self._copies.named(copy), datetime.now(UTC)
        async with reading(self._local.pool) as db:
            known = {row.key: row for row in await queries.differences_of(db, copy, wanted.source, 100_000)}
        chosen = [known[key] for key in dict.fromkeys(keys) if key in known][:MOST_ROWS]
        if not chosen:
            raise CopyUnknown(
                T("None of these rows differed in the last comparison."),
                mend=T("Compare again, and choose from the list."),
            )
        async with open_desk(self._local.settings, self._local.dsns.app) as desk:
            cases = await ask_for_corrections(
                desk.link, wanted.system, wanted.source, column=wanted.key, reason=reason,
                rows=[WrongRow(row.key, tuple(row.fields)) for row in chosen],
            )  # fmt: skip
        async with self._local.pool.connection() as db:
            for row, case in zip(chosen, cases, strict=True):
                await queries.note_correction(db, copy, wanted.source, row.key, case)
            await put_down(db, actor, "copy.correction-asked", copy, {"rows": len(chosen)}, now=now)
        return {"cases": cases}

    def _source(self, copy: str) -> str:
        return next((each.source for each in self._copies.copies if each.copy == copy), "")


def _with_counts(line: CopyLine, row: queries.CopyRow) -> CopyLine:
    return replace(
        line,
        same=row.same,
        differing=row.differing,
        only_here=row.only_here,
        only_there=row.only_there,
        by_field=row.by_field,
        record=row.record,
        refusal=row.refusal,
    )
