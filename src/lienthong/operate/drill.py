"""``lienthong drill --lose PART``: take a part of the running demo away, look at what goes on, give it back.

The uses of a city go on all the while, each at its own pace, as its systems would make them; what is told is what they
saw: how many were answered, with which problem the others ended, how soon all was well again, and what the receipts of
that time say about it.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from lienthong.config import load_settings
from lienthong.i18n import T
from lienthong.operate.losses import LOSSES, Country, NodeHere, NothingToLose

ONE_STOP: Final = "VN/GOV/H24/motcua"
ANALYSIS: Final = "VN/GOV/H24/phantich"
PERSON: Final = {"personal_number": "031099990001"}
"""A synthetic person that every demo has."""
SQL: Final = "SELECT gender, count(*) AS people FROM g01.dancu.citizen GROUP BY gender"
EVERY_S: Final = 0.5
TIMEOUT_S: Final = 12.0
LATE_S: Final = 3.0
"""An answer that took longer is trouble too."""
QUIET_S: Final = 3.0
SETTLED_S: Final = 2.0
"""A receipt is asked for once a checkpoint should cover its record."""
MOST_RECEIPTS: Final = 5
BACK_WITHIN_S: Final = 90.0
SIGNATURE_LINE: Final = "\n\u2014 "
"""How each signature begins in a note: the log's own first, then the witnesses'."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: when, whether it was as in good times, and the word for what it was."""

    at: float
    good: bool
    word: str
    record: str = ""
    until: float = 0.0
    """When it was over; 0 for a look that took no time."""


@dataclass(slots=True)
class Probe:
    """Something that is tried again and again; its samples."""

    name: str
    look: Callable[[], Sample]
    samples: list[Sample] = field(default_factory=list[Sample])

    def within(self, begin: float, end: float) -> list[Sample]:
        """The samples that were under way in this time."""
        return [sample for sample in self.samples if sample.at < end and max(sample.at, sample.until) >= begin]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one probe saw of the loss."""

    name: str
    before: str
    during: Mapping[str, int]
    """Word to how often."""
    first_trouble_s: float | None
    """Seconds after the loss began; None when nothing was noticed."""
    well_after_s: float | None
    """Seconds after the part came back until the last trouble was over; None when it was never well again."""


@dataclass(frozen=True, slots=True)
class DrillReport:
    """What one drill showed."""

    lost: str
    seconds: float
    seen: tuple[Seen, ...]
    receipts: Mapping[str, int]
    """Of the newest uses answered during the loss, by side: whether in the log, with how many cosignatures."""

    @property
    def recovered(self) -> bool:
        """Whether everything was well again in time."""
        return all(each.well_after_s is not None for each in self.seen)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "lost": self.lost,
            "seconds": self.seconds,
            "recovered": self.recovered,
            "receipts": dict(self.receipts),
            "seen": [
                {
                    "probe": each.name,
                    "before": each.before,
                    "during": dict(each.during),
                    "first_trouble_s": each.first_trouble_s,
                    "well_after_s": each.well_after_s,
                }
                for each in self.seen
            ],
        }


def read_country(described: Mapping[str, Any]) -> Country:  # Any: demo.json, written by the demo itself
    """The demo's nodes from ``demo.json``; raises NothingToLose when it does not describe a country."""
    nodes = [
        NodeHere(
            name=str(each["node"]),
            members=tuple(each["members"]),
            config=Path(each["config"]),
            public_url=str(each["public_url"]),
            client_url=str(each["client_url"]),
            settings=load_settings(Path(each["config"])),
        )
        for each in described.get("nodes", [])
    ]
    by_member = {member: node for node in nodes for member in node.members}
    national = next((node for node in nodes if node.settings.national), None)
    home, peer = by_member.get("VN/GOV/H24"), by_member.get("VN/GOV/G01")
    if national is None or home is None or peer is None:
        raise NothingToLose(T("The file does not describe the demo."), mend=T("Start the demo: lienthong demo"))
    others = tuple(node for node in nodes if node not in (national, home, peer))
    return Country(national, home, peer, others)


def drill(country: Country, part: str, *, seconds: float) -> DrillReport:
    """Lose ``part`` for ``seconds`` and report.  Raises NothingToLose."""
    probes = _probes(country)
    ended = threading.Event()
    threads = [threading.Thread(target=_keep_looking, args=(probe, ended), daemon=True) for probe in probes]
    try:
        for thread in threads:
            thread.start()
        time.sleep(QUIET_S)
        with LOSSES[part](country):
            begin = time.monotonic()
            time.sleep(seconds)
            receipts = _receipts(country, probes[0].within(begin, time.monotonic()))
            end = time.monotonic()
        while not all(_is_well(probe, end) for probe in probes) and time.monotonic() - end < BACK_WITHIN_S:
            time.sleep(EVERY_S)
    finally:
        ended.set()
        for thread in threads:
            thread.join(TIMEOUT_S + 1.0)
    return DrillReport(part, seconds, tuple(summary(probe, begin, end) for probe in probes), receipts)


def as_markdown(report: DrillReport) -> str:
    """The report as a section of a page."""
    lines = [
        f"## {report.lost}, {report.seconds:.0f} s",
        "",
        "| What was tried | Before | During the loss | First trouble after | Well again after |",
        "|---|---|---|---|---|",
    ]
    for each in report.seen:
        during = ", ".join(f"{word} x {count}" for word, count in sorted(each.during.items())) or "-"
        first = "none" if each.first_trouble_s is None else f"{each.first_trouble_s:.1f} s"
        well = "**not in time**" if each.well_after_s is None else f"{each.well_after_s:.1f} s"
        lines.append(f"| {each.name} | {each.before} | {during} | {first} | {well} |")
    told = ", ".join(f"{word}: {count}" for word, count in report.receipts.items()) or "no use was answered"
    return "\n".join([*lines, "", f"Receipts of that time: {told}.", ""])


def _probes(country: Country) -> list[Probe]:
    home = country.home.client_url

    def call(service: str, body: Mapping[str, str]) -> Callable[[], Sample]:
        headers = {"X-Road-Client": ONE_STOP, "Lienthong-Purpose": "HP-MOTCUA-01"}
        return lambda: _ask(f"{home}/r1/{service}", body, headers)

    def query() -> Sample:
        return _ask(f"{home}/sql", {"sql": SQL, "purpose": "HP-THONGKE-01"}, {"X-Road-Client": ANALYSIS})

    return [
        Probe("call of the population register (G01)", call("VN/GOV/G01/dancu/citizen", PERSON)),
        Probe("call of the unit register (national)", call("VN/ORG/NDC/danhmuc/unit",
                                                           {"code": "31", "level": "province"})),
        Probe("query over G01", query),
        Probe("national portal", lambda: _ask(f"{country.national.public_url}/", None, {})),
        Probe("/readyz of the city", lambda: _ready(country.home)),
        Probe("/readyz of the provider", lambda: _ready(country.peer)),
    ]  # fmt: skip


def _keep_looking(probe: Probe, ended: threading.Event) -> None:
    while not ended.is_set():
        sample = probe.look()
        probe.samples.append(replace(sample, until=time.monotonic()))
        ended.wait(EVERY_S)


def _ask(url: str, body: Mapping[str, str] | None, headers: Mapping[str, str]) -> Sample:
    at = time.monotonic()
    content = None if body is None else json.dumps(body).encode()
    fields = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(url, content, fields)  # noqa: S310 - an address of the demo
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the demo's own address
            answer.read()
            late = time.monotonic() - at > LATE_S
            return Sample(
                at,
                good=not late,
                word="answered late" if late else "answered",
                record=answer.headers.get("Lienthong-Record", ""),
            )
    except urllib.error.HTTPError as refused:
        return Sample(at, good=False, word=f"{refused.code} {_kind(refused.read())}".strip())
    except (OSError, ValueError):
        return Sample(at, good=False, word="no answer")


def _ready(node: NodeHere) -> Sample:
    at = time.monotonic()
    try:
        url = f"{node.public_url}/readyz"
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - an address of the demo
            told = json.load(answer)
    except urllib.error.HTTPError as refused:
        told = _json(refused.read())
    except (OSError, ValueError):
        return Sample(at, good=False, word="no answer")
    status = str(told.get("status", "?"))
    parts = cast("Mapping[str, object]", told.get("parts", {}))
    wrong = " ".join(f"{name}={word}" for name, word in sorted(parts.items()) if word != "ok")
    return Sample(at, good=status == "ok", word=f"{status} {wrong}".strip())


def _kind(body: bytes) -> str:
    told = _json(body)
    return str(told.get("type", "")).rsplit(":", 1)[-1]


def _json(body: bytes) -> Mapping[str, Any]:  # Any: what a node answered
    try:
        told: object = json.loads(body)
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", told) if isinstance(told, dict) else {}


def _is_well(probe: Probe, since: float) -> bool:
    """Whether the newest look that began after ``since`` was as it was before the loss."""
    before = probe.samples[0].word if probe.samples else ""
    return bool(probe.samples) and probe.samples[-1].at > since and _same(probe.samples[-1], before)


def _same(sample: Sample, before: str) -> bool:
    return sample.good or sample.word == before


def summary(probe: Probe, begin: float, end: float) -> Seen:
    """What ``probe`` saw of a loss from ``begin`` to ``end``, beside what its first look found."""
    before = probe.samples[0].word
    during = probe.within(begin, end)
    trouble = [
        sample for sample in probe.samples if max(sample.at, sample.until) >= begin and not _same(sample, before)
    ]
    well: float | None = 0.0
    if trouble and trouble[-1].at >= end:
        later = [sample for sample in probe.samples if sample.at > trouble[-1].at]
        well = round(later[0].at - end, 1) if later else None
    first = min((max(sample.at, begin) for sample in trouble), default=None)
    return Seen(
        name=probe.name,
        before=before,
        during=Counter(sample.word for sample in during),
        first_trouble_s=None if first is None else round(first - begin, 1),
        well_after_s=well,
    )


def _receipts(country: Country, samples: Sequence[Sample]) -> Mapping[str, int]:
    """What both sides' receipts of the newest uses say, asked for while the part is still away."""
    counted: Counter[str] = Counter()
    for sample in [each for each in samples if each.record and each.at < time.monotonic() - SETTLED_S][-MOST_RECEIPTS:]:
        own = _fetch(f"{country.home.public_url}/log/receipt/{sample.record}")
        counted[f"city: {_said(own)}"] += 1
        peer = _json(str(own.get("record", "")).encode()).get("peer_record")
        if peer:
            counted[f"provider: {_said(_fetch(f'{country.peer.public_url}/log/receipt/{peer}'))}"] += 1
    return counted


def _said(receipt: Mapping[str, Any]) -> str:  # Any: what a node answered
    if "record" not in receipt:
        return str(receipt.get("refused", "no answer"))
    proof = str(receipt.get("proof") or "")
    if not proof:
        return "recorded, not in the log yet"
    return f"in the log, {max(0, proof.count(SIGNATURE_LINE) - 1)} cosignatures"


def _fetch(url: str) -> Mapping[str, Any]:  # Any: what a node answered
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the demo's own address
            return _json(answer.read())
    except urllib.error.HTTPError as refused:
        return {"refused": f"{refused.code} {_kind(refused.read())}".strip()}
    except (OSError, ValueError):
        return {}
