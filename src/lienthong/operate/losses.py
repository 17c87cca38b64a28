"""Parts of a running demo that a drill takes away for a while and gives back, whatever happens in between.

Nothing is destroyed: processes are stopped as a frozen machine would be (connections are taken and never answered),
a database lets nobody in, files can not grow.  Only processes of the demo's own nodes are touched, by their numbers.
"""

from __future__ import annotations

import os
import re
import resource
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from lienthong.config import Settings
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.operate import queries

ROLES: Final = ("gateway", "web", "jobs")
AUTHORITY: Final = "lienthong.demo.authority"
"""Module of the demo's time-stamping authority."""


class NothingToLose(Problem):
    """The part that should be lost is not there: no demo runs, or the country has no such helper."""

    kind: ClassVar[str] = "nothing-to-lose"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("There is nothing to lose")


@dataclass(frozen=True, slots=True)
class NodeHere:
    """One node of the demo, as its files describe it."""

    name: str
    members: tuple[str, ...]
    config: Path
    public_url: str
    client_url: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class Country:
    """The demo's nodes by the part they play in a drill."""

    national: NodeHere
    home: NodeHere
    """The one that uses data of the others."""
    peer: NodeHere
    """The provider that is looked at."""
    others: tuple[NodeHere, ...]


Loss = Callable[[Country], AbstractContextManager[None]]


@contextmanager
def frozen(numbers: Sequence[int]) -> Generator[None]:
    """Processes that do nothing for the length of the block."""
    if not numbers:
        raise NothingToLose(T("No process of that part runs."), mend=T("Start the demo: lienthong demo"))
    stopped: list[int] = []
    try:
        for number in numbers:
            os.kill(number, signal.SIGSTOP)
            stopped.append(number)
        yield
    finally:
        for number in stopped:
            try:
                os.kill(number, signal.SIGCONT)
            except ProcessLookupError:
                pass  # it ended meanwhile: its supervisor starts another


def processes(node: NodeHere, roles: Sequence[str] = ROLES) -> list[int]:
    """Numbers of the node's processes in these roles, by the titles they bear."""
    return _titled(re.compile(rf"lienthong\.node ({'|'.join(roles)})(-\d+)? --config {re.escape(str(node.config))}"))


def _titled(wanted: re.Pattern[str]) -> list[int]:
    """Numbers of the processes that bear such a title, or were started by such a command."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            title = (entry / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
        except (OSError, ValueError):
            continue
        if entry.name.isdigit() and wanted.fullmatch(title):
            found.append(int(entry.name))
    return sorted(found)


def lose_national(country: Country) -> AbstractContextManager[None]:
    """The national node: directory, portal, and what it provides itself."""
    return frozen(processes(country.national))


def lose_peer(country: Country) -> AbstractContextManager[None]:
    """One provider's node."""
    return frozen(processes(country.peer))


def lose_witness(country: Country) -> AbstractContextManager[None]:
    """Every node that has no part in the uses looked at: they only witness the others' logs."""
    return frozen([number for node in country.others for number in processes(node)])


@contextmanager
def lose_database(country: Country) -> Generator[None]:
    """The provider's database: nobody is let in."""
    settings = country.peer.settings
    queries.shut_out(settings.database or "", settings.database_name)
    try:
        yield
    finally:
        queries.let_in(settings.database or "", settings.database_name)


@contextmanager
def lose_disk(country: Country) -> Generator[None]:
    """The provider's disk is full: no file of its processes can grow (its database is on another one)."""
    changed: list[tuple[int, tuple[int, int]]] = []
    numbers = processes(country.peer)
    if not numbers:
        raise NothingToLose(T("No process of that part runs."), mend=T("Start the demo: lienthong demo"))
    try:
        for number in numbers:
            before = resource.prlimit(number, resource.RLIMIT_FSIZE)
            resource.prlimit(number, resource.RLIMIT_FSIZE, (0, before[1]))
            changed.append((number, before))
        yield
    finally:
        for number, before in changed:
            try:
                resource.prlimit(number, resource.RLIMIT_FSIZE, before)
            except ProcessLookupError:
                pass  # it ended meanwhile: its supervisor starts another, without the limit


def lose_timestamps(country: Country) -> AbstractContextManager[None]:
    """The demo's time-stamping authority; raises NothingToLose where the country has none."""
    roots = country.home.settings.tsa_roots
    if roots is None:
        raise NothingToLose(
            T("{node} asks no time-stamping authority."),
            mend=T("Start the demo with one: lienthong demo --stamps"),
            node=country.home.name,
        )
    return frozen(_titled(re.compile(rf"\S+ -m {re.escape(AUTHORITY)} {re.escape(str(roots.parent))} \d+")))


LOSSES: Final[dict[str, Loss]] = {
    "national": lose_national,
    "db": lose_database,
    "witness": lose_witness,
    "tsa": lose_timestamps,
    "peer": lose_peer,
    "disk": lose_disk,
}
"""What can be lost, by the word on the command line."""
