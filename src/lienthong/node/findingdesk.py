"""The doctor's look as the pages need it: run as a command of its own, its last word kept beside the node's data.

The doctor stands above this package and looks from outside, so it is a child process: ``lienthong doctor --json``.
Promises: what is kept is a whole look, in a file, so that it is told even while the database is away; one process runs
one look at a time, and who asks meanwhile gets the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, cast

import orjson

from lienthong.config import CONFIG_VARIABLE
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.node.local import Local
from lienthong.portal.findings import Finding, Looked
from lienthong.storage.objects import ObjectStore

KEPT: Final = "doctor/last"
MOST_S: Final = 120.0
EVERY_S: Final = 900.0
FIRST_S: Final = (180.0, 480.0)
"""Between these many seconds after the start, at random: the nodes of one machine do not look all at once."""
COMMAND: Final = (sys.executable, "-m", "lienthong.cli", "doctor", "--json")


class DoctorSilent(Problem):
    """The doctor could not be asked: it did not end in time, or told nothing that can be read."""

    kind: ClassVar[str] = "doctor-silent"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The doctor does not answer")


class NodeFindingDesk:
    """See ``portal.findings.FindingDesk``."""

    def __init__(
        self,
        local: Local,
        *,
        command: Sequence[str] = COMMAND,
        most_s: float = MOST_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``command`` prints what ``lienthong doctor --json`` does; it has ``most_s`` seconds."""
        self._store = ObjectStore(local.settings.data)
        self._command = tuple(command)
        self._most_s = most_s
        self._now = now
        self._looking: asyncio.Task[Looked] | None = None

    async def last(self) -> Looked | None:
        """The look that was kept last; None before the first, or when the file holds none."""
        kept = await asyncio.to_thread(self._store.get, KEPT)
        return _read(kept) if kept else None

    async def look(self) -> Looked:
        """Look now, or wait for the look that is under way.  Raises DoctorSilent."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> Looked:
        told = await self._told()
        kept = orjson.dumps({"at": self._now().isoformat(), "told": told})
        looked = _read(kept)
        if looked is None:
            raise _silent("unreadable")
        await asyncio.to_thread(self._store.put, KEPT, kept)
        return looked

    async def _told(self) -> Any:  # Any: JSON
        if CONFIG_VARIABLE not in os.environ:
            raise _silent("no-configuration")
        running = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(self._most_s):
                told, _ = await running.communicate()
            return orjson.loads(told)
        except TimeoutError:
            raise _silent("timeout") from None
        except orjson.JSONDecodeError:
            raise _silent("unreadable") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                running.kill()


async def look_for_faults(local: Local) -> None:
    """Have the doctor look every quarter of an hour, for as long as the process runs."""
    desk = NodeFindingDesk(local)
    await asyncio.sleep(random.uniform(*FIRST_S))  # noqa: S311 - spreads load, protects nothing
    while True:
        await desk.look()
        await asyncio.sleep(EVERY_S)


def _silent(why: str) -> DoctorSilent:
    return DoctorSilent(
        T("The doctor could not be asked ({why})."),
        mend=T("Run it by command on the node's machine: lienthong doctor --config FILE."),
        why=why,
    )


def _read(kept: bytes) -> Looked | None:
    try:
        whole = cast("Mapping[str, Any]", orjson.loads(kept))  # Any, here and below: JSON, checked by its use
        faults = cast("list[Mapping[str, Any]]", whole["told"]["faults"])
        found = [
            Finding(
                str(each["fault"]), str(each["messages"]["cause"]), str(each["messages"]["mend"]), dict(each["facts"]),
                bool(each["grave"]), str(each["whose"]),
            )
            for each in faults
        ]  # fmt: skip
        at = datetime.fromisoformat(whole["at"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return Looked(at, tuple(sorted(found, key=lambda each: not each.grave)))
