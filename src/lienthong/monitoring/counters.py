"""Counters of one process as plain integers, and all processes' counters as Prometheus reads them.

Each process keeps its own and puts them into the database every few seconds; whoever is asked adds nothing up: a
process is a label, so that a restart is a reset of its own series.  Source: Prometheus text format 0.0.4.
"""

from __future__ import annotations

import os
import resource
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lienthong.monitoring.calls import Call

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds."""
CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Counters:
    """What one process counted since its start."""

    calls: dict[tuple[str, str, int, str], list[int]] = field(
        default_factory=dict[tuple[str, str, int, str], list[int]]
    )
    """(side, service, status, fault) -> [calls, bytes in, bytes out]."""
    seconds: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """Side -> calls by bucket, the last for those above all."""
    spent: dict[str, float] = field(default_factory=dict[str, float])
    """Side -> seconds of all calls."""

    def count(self, calls: Iterable[Call]) -> None:
        """Add ``calls``."""
        for call in calls:
            side, _, service, seconds, got, gave, status, fault, _ = call
            key = (side, service or "-", status, fault or "-")
            counted = self.calls.get(key) or self.calls.setdefault(key, [0, 0, 0])
            counted[0] += 1
            counted[1] += got
            counted[2] += gave
            if side not in self.spent:
                self.seconds[side], self.spent[side] = [0] * (len(BUCKETS) + 1), 0.0
            self.seconds[side][bisect_left(BUCKETS, seconds)] += 1
            self.spent[side] += seconds

    def as_dict(self, dropped: int = 0) -> dict[str, object]:
        """For the database, with what the kernel says of this process."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        with open("/proc/self/statm", encoding="ascii") as memory:
            pages = int(memory.read().split()[1])
        return {
            "calls": [[*key, *values] for key, values in self.calls.items()],
            "seconds": self.seconds,
            "spent": self.spent,
            "dropped": dropped,
            "cpu": usage.ru_utime + usage.ru_stime,
            "memory": pages * os.sysconf("SC_PAGE_SIZE"),
            "files": len(os.listdir("/proc/self/fd")),
        }


@dataclass(frozen=True, slots=True)
class Process:
    """A process's counters as last put down."""

    process: str
    started_s: float
    counted: Mapping[str, Any]
    """What ``Counters.as_dict`` gave."""


Sample = tuple[Mapping[str, str], float]
"""Labels and value."""


def exposition(processes: Sequence[Process], gauges: Mapping[str, Sequence[Sample]]) -> bytes:
    """Everything as text; ``gauges`` by name without the prefix, each a key of ``HELP``."""
    lines: list[str] = []
    _family(lines, "calls_total", "counter", [
        ({"process": p.process, "side": side, "service": service, "status": str(status), "fault": fault}, count)
        for p in processes for side, service, status, fault, count, _, _ in p.counted.get("calls", ())
    ])  # fmt: skip
    for name, place in (("request_bytes_total", 5), ("response_bytes_total", 6)):
        _family(lines, name, "counter", [
            ({"process": p.process, "side": side}, total)
            for p in processes for side, total in _sum_by_side(p.counted.get("calls", ()), place).items()
        ])  # fmt: skip
    _histograms(lines, processes)
    _family(
        lines, "calls_not_kept_total", "counter", [({"process": p.process}, p.counted["dropped"]) for p in processes]
    )
    for name, key, kind in (
        ("process_cpu_seconds_total", "cpu", "counter"),
        ("process_memory_bytes", "memory", "gauge"),
        ("process_open_files", "files", "gauge"),
    ):
        _family(lines, name, kind, [({"process": p.process}, p.counted[key]) for p in processes])
    _family(lines, "process_start_time_seconds", "gauge", [({"process": p.process}, p.started_s) for p in processes])
    for name, samples in gauges.items():
        _family(lines, name, "gauge", samples)
    return ("\n".join(lines) + "\n").encode()


HELP: Final[Mapping[str, str]] = {
    "calls_total": "Calls and sub-queries that ended, by side, service, HTTP status and fault.",
    "request_bytes_total": "Bytes of request bodies.",
    "response_bytes_total": "Bytes of response bodies.",
    "call_seconds": "Time from a request's head to the end of its answer.",
    "calls_not_kept_total": "Calls that found no room in the monitoring buffer; they are on record all the same.",
    "process_cpu_seconds_total": "Processor time of a process.",
    "process_memory_bytes": "Resident memory of a process.",
    "process_open_files": "Open file descriptors of a process.",
    "process_start_time_seconds": "When a process began, in seconds since 1970.",
    "log_records": "Records with a place in the log.",
    "log_waiting_records": "Durable records that wait for their place in the log.",
    "checkpoint_age_seconds": "Time since the newest checkpoint was signed.",
    "directory_age_seconds": "Time since the directory in use was issued.",
    "queue_length": "What waits for other nodes, by queue.",
    "check": "Health by check: 0 in order, 1 degraded, 2 failed.",
    "disk_free_bytes": "Room left where the data folder lies.",
}


def _histograms(lines: list[str], processes: Sequence[Process]) -> None:
    _head(lines, "call_seconds", "histogram")
    for each in processes:
        for side, buckets in each.counted.get("seconds", {}).items():
            labels = {"process": each.process, "side": side}
            below = 0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), buckets, strict=True):
                below += count
                lines.append(_line("call_seconds_bucket", labels | {"le": bound}, below))
            lines.append(_line("call_seconds_sum", labels, each.counted["spent"][side]))
            lines.append(_line("call_seconds_count", labels, below))


def _family(lines: list[str], name: str, kind: str, samples: Iterable[Sample]) -> None:
    _head(lines, name, kind)
    lines += [_line(name, labels, value) for labels, value in samples]


def _head(lines: list[str], name: str, kind: str) -> None:
    lines += [f"# HELP lienthong_{name} {HELP[name]}", f"# TYPE lienthong_{name} {kind}"]


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"lienthong_{name}{{{inside}}} {value}" if inside else f"lienthong_{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _sum_by_side(calls: Iterable[Sequence[Any]], place: int) -> dict[str, int]:
    sums: dict[str, int] = {}
    for call in calls:
        sums[call[0]] = sums.get(call[0], 0) + call[place]
    return sums
