"""Refusals that repeat within a minute: the first is a record at once, equal ones become one record with their count.

A caller that asks the same forbidden thing a thousand times fills no log, and nothing of it is hidden.  Equal are
refusals of one side, system, resource, reason and purpose.  No I/O here: whoever asks ``due`` writes what it gets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from lienthong.access.models import Record

WINDOW_S: Final = 60.0
MOST_WINDOWS: Final = 10_000
"""Kinds of refusal watched at once; further ones are recorded each by itself, so memory stays bounded."""

Key = tuple[str, str, str, str | None, str | None]


@dataclass(slots=True)
class _Window:
    """One minute of equal refusals."""

    ends: float
    first: str
    last: Record
    repeated: int = 0


class Repeats:
    """Counts equal refusals; times are seconds of any clock that never goes back."""

    def __init__(self, window_s: float = WINDOW_S, most_windows: int = MOST_WINDOWS) -> None:
        self._window_s = window_s
        self._most_windows = most_windows
        self._windows: dict[Key, _Window] = {}
        """In the order in which they end, since all last equally long."""
        self._ended: list[_Window] = []
        """Those that a new one took the place of before anybody asked what is due."""

    def counted(self, record: Record, now: float) -> str | None:
        """The hash of the record that stands for ``record``, which is thereby counted; None: write it yourself.

        Only refusals are counted, and only while their window is open.
        """
        window = self._windows.get(_key(record))
        if record.outcome != "refused" or window is None or now >= window.ends:
            return None
        window.repeated += 1
        window.last = record
        return window.first

    def wrote(self, record: Record, named: str, now: float) -> None:
        """``record`` is durable under the hash ``named``: equal refusals of the coming minute are only counted."""
        key = _key(record)
        known = self._windows.get(key)
        if record.outcome != "refused" or (known is not None and now < known.ends):
            return
        if known is not None:
            self._ended.append(self._windows.pop(key))
        if len(self._windows) < self._most_windows:
            self._windows[key] = _Window(now + self._window_s, named, record)

    def due(self, now: float) -> list[Record]:
        """Close the windows that ended by ``now``; one record with the count for each that had repetitions."""
        ended: list[Key] = []
        for key, window in self._windows.items():
            if window.ends > now:
                break
            ended.append(key)
        windows, self._ended = [*self._ended, *(self._windows.pop(key) for key in ended)], []
        return _counts(windows)

    def rest(self) -> list[Record]:
        """Close every window, at the end of the process."""
        windows, self._ended = [*self._ended, *self._windows.values()], []
        self._windows.clear()
        return _counts(windows)


def _counts(windows: list[_Window]) -> list[Record]:
    return [_count(window) for window in windows if window.repeated]


def _count(window: _Window) -> Record:
    """The last refusal of a window as the record of all that repeated it: it belongs to no one message."""
    return replace(
        window.last,
        reason=f"{window.last.reason};repeated={window.repeated}",
        target_commitment=None,
        request_signature_digest=None,
        response_signature_digest=None,
        body_digest=None,
        bytes=None,
        rows=None,
        subjects=(),
        peer_record=None,
    )


def _key(record: Record) -> Key:
    return record.side, record.consumer, record.resource, record.reason, record.purpose
