"""How much of request bodies one process holds at once, over all its connections.

A single body has its own limit; a thousand of them at that limit would still be more than the machine has.  Promises:
what is held never exceeds the budget, small bodies are held without counting, and whoever comes too late hears 503 with
a time to come again, while those already held are served.
"""

from __future__ import annotations

from typing import ClassVar, Final, Self

from lienthong.errors import Problem, Side
from lienthong.i18n import T

FREE_BYTES: Final = 65_536
"""Of each body that are not counted: a listener's connections times this is its own bound."""
MOST_BYTES: Final = 256 * 1024 * 1024
RETRY_AFTER_S: Final = 2


class MemoryBudgetSpent(Problem):
    """The process holds as many bytes of requests as it may."""

    kind: ClassVar[str] = "memory-budget-spent"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The node holds too many large requests")


class Budget:
    """So many bytes of bodies at once; shared by all listeners of a process."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self.held_bytes = 0
        """Counted at this moment."""

    def share(self) -> Share:
        """Nothing yet, for one request; to be used as a context that gives everything back."""
        return Share(self)


class Share:
    """What one request holds of a budget."""

    __slots__ = ("_budget", "_counted", "_size")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._size = 0
        self._counted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.held_bytes -= self._counted
        self._counted = 0

    def grow(self, size_bytes: int) -> None:
        """Hold so many bytes more.  Raises MemoryBudgetSpent; what is held till then stays held."""
        self._size += size_bytes
        if self._size <= FREE_BYTES:
            return
        more = self._size - self._counted
        budget = self._budget
        if budget.held_bytes + more > budget.most_bytes:
            raise MemoryBudgetSpent(
                T("The node holds {most} bytes of requests already, which is all it may."),
                mend=T("Try again in a moment, or send less at a time."),
                most=budget.most_bytes,
                retry_after_s=RETRY_AFTER_S,
            )
        budget.held_bytes += more
        self._counted += more
