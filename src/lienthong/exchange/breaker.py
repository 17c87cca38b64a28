"""A circuit for each back end and each peer: who failed several times in a row is left alone for a moment.

Promises: while a circuit is open, callers are told at once and when to come again; then one call tries, and only its
success lets the others follow.  No I/O here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final

from lienthong.errors import Problem, Side
from lienthong.exchange.answer import (
    BadAnswer,
    PeerCertificate,
    PeerClosed,
    PeerClosedAfterHandshake,
    PeerTimeout,
    PeerUnreachable,
)
from lienthong.i18n import T

FAILURES: Final = 5
"""In a row, without a success between."""
FIRST_PAUSE_S: Final = 2.0
LONGEST_PAUSE_S: Final = 60.0
BROKEN: Final = (BadAnswer, PeerCertificate, PeerClosed, PeerClosedAfterHandshake, PeerTimeout, PeerUnreachable)
"""What counts as the other side's failure; an answer of any status does not."""


class LeftAlone(Problem):
    """The other side failed several times in a row: nothing was sent."""

    kind: ClassVar[str] = "left-alone"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "provider"
    title: ClassVar[str] = T("The other side failed repeatedly and is left alone for a moment")


@dataclass(slots=True)
class _Circuit:
    """One that failed at least once since its last success."""

    failures: int = 0
    pause_s: float = 0.0
    """How long it stays open this time; 0 while it is closed."""
    until: float = 0.0
    trying: bool = False
    """One call is under way to see whether it works again."""


class Breaker:
    """The circuits of one process; times are seconds of any clock that never goes back."""

    def __init__(self, *, failures: int = FAILURES, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = failures
        self._clock = clock
        self._circuits: dict[Hashable, _Circuit] = {}

    def is_open(self, key: Hashable) -> bool:
        """Whether a call would be refused now."""
        circuit = self._circuits.get(key)
        return circuit is not None and circuit.pause_s > 0 and (circuit.trying or self._clock() < circuit.until)

    @contextmanager
    def watching(self, key: Hashable, name: str) -> Generator[None]:
        """Carry out one call to ``key``, told to people as ``name``.  Raises LeftAlone before it when that is open."""
        circuit = self._circuits.get(key)
        if circuit is not None and circuit.pause_s > 0:
            self._admit(circuit, name)
        try:
            yield
        except BROKEN:
            self._failed(key)
            raise
        except Exception:
            self._circuits.pop(key, None)  # it answered, though not to our liking
            raise
        except BaseException:
            if circuit is not None:
                circuit.trying = False  # the caller gave up: nothing was learnt
            raise
        else:
            self._circuits.pop(key, None)

    def _admit(self, circuit: _Circuit, name: str) -> None:
        left = circuit.until - self._clock()
        if left > 0 or circuit.trying:
            raise LeftAlone(
                T("{name} failed {failures} times in a row and is left alone for {retry_after_s} s."),
                mend=T("Try again then; if it lasts, tell the provider."),
                name=name,
                failures=circuit.failures,
                retry_after_s=max(1, round(left)),
            )
        circuit.trying = True

    def _failed(self, key: Hashable) -> None:
        circuit = self._circuits.setdefault(key, _Circuit())
        circuit.failures += 1
        circuit.trying = False
        if circuit.failures >= self._most:
            circuit.pause_s = min(LONGEST_PAUSE_S, circuit.pause_s * 2 or FIRST_PAUSE_S)
            circuit.until = self._clock() + circuit.pause_s
