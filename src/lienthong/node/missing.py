"""The job that notes when a helper of the log is missing, and whether a rule makes that stop uses."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from lienthong.access import queries
from lienthong.access.gaps import Helper, stopped_by
from lienthong.law.rules import RuleBook, read_rule_book
from lienthong.node.checks import directory
from lienthong.node.finding import Look
from lienthong.node.local import Local
from lienthong.node.witnesschecks import timestamps, witnesses
from lienthong.storage.objects import changed_at
from lienthong.storage.pool import Connection

LOOK_EVERY_S: Final = 5.0
OWN_RULES: Final = "rules.toml"
"""The operator's own dated values, in the data folder."""
LOOKS: Final[tuple[tuple[Helper, Look], ...]] = (
    ("witnesses", witnesses),
    ("timestamps", timestamps),
    ("directory", directory),
)


async def watch_helpers(local: Local) -> None:
    """Note again and again which helpers are missing."""
    while True:
        await note_helpers(local, datetime.now(UTC), rules_of(local.settings.data))
        await asyncio.sleep(LOOK_EVERY_S)


async def note_helpers(local: Local, now: datetime, book: RuleBook) -> None:
    """Note which helpers are missing at ``now``, and which of them stop uses under ``book``."""
    missing: dict[Helper, bool] = {helper: (await look(local)).state != "ok" for helper, look in LOOKS}
    async with local.pool.connection() as db:
        open_now = {gap.helper for gap in await queries.open_gaps(db)}
        for helper, is_missing in missing.items():
            if is_missing or helper in open_now:
                await note_helper(db, helper, missing=is_missing, now=now, book=book)


async def note_helper(db: Connection, helper: Helper, *, missing: bool, now: datetime, book: RuleBook) -> None:
    """Begin, go on with or end the gap of ``helper``; while it lasts, note whether a rule makes it stop uses."""
    if not missing:
        await queries.end_gap(db, helper, now)
        return
    await queries.begin_gap(db, helper, now)
    for gap in await queries.open_gaps(db):
        if gap.helper == helper:
            await queries.note_basis(db, helper, stopped_by(helper, gap.since, now, book))


def rules_of(data: Path) -> RuleBook:
    """The dated values in force on this node: the shipped ones and those in its data folder.  Raises RulesInvalid."""
    own = data / OWN_RULES
    return _read_rules(own, changed_at(os.fspath(own)))


@lru_cache(maxsize=4)
def _read_rules(own: Path, changed: int) -> RuleBook:
    """The values as of the time at which the operator's file was ``changed`` (0: there is none)."""
    return read_rule_book(own if changed else None)
