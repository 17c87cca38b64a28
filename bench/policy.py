"""How long one policy decision takes, beside a plain look-up in a dict: ``python bench/policy.py [rounds]``.

Prints the median over rounds in microseconds.  The anchor is what any check costs at least: one tuple looked up in a
dict.  The agreement has two permissions, masks, a row filter, a quota and a prohibition; the index has 1,000 others.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from lienthong.agreements.document import write_agreement
from lienthong.agreements.models import Permission, Prohibition, Terms
from lienthong.agreements.policy import Compiled, Request, compile_agreement, decide_among
from lienthong.agreements.reading import parse_agreement
from lienthong.directory.models import MemberId, SystemId

START, END, NOON = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 12, 7))
TARGET = "VN/GOV/G01/dancu/citizen"
COUNTER = SystemId("VN/GOV/H24/motcua")
LOOPS = 20_000


def agreement() -> Compiled:
    """An agreement of the usual size."""
    permission = Permission(
        purposes=("HP-01", "HP-02"),
        ground="law:278/2025",
        starts=START,
        ends=END,
        systems=(COUNTER,),
        fields=("name", "born", "sex", "province", "address"),
        masks=(("name", "partial"), ("born", "year")),
        row_filter=(("province", "eq", "31"),),
        quota=1_000_000,
    )
    terms = Terms(
        provider=MemberId("VN/GOV/G01"),
        consumer="VN/GOV/H24",
        target=TARGET,
        mode="request",
        legal_basis="Nghị định 278/2025/NĐ-CP",
        permissions=(permission,),
        prohibitions=(Prohibition("use", purposes=("HP-02",), ways=("query",)),),
    )
    agreement_id = "urn:uuid:00000000-0000-4000-8000-000000000001"
    return compile_agreement(parse_agreement(write_agreement(terms, agreement_id=agreement_id, timestamp=START)))


def median_us(deed: Callable[[], object], rounds: int) -> float:
    """The median time of ``deed`` in microseconds over ``rounds`` of LOOPS calls each."""
    times: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(LOOPS):
            deed()
        times.append((time.perf_counter() - started) / LOOPS * 1e6)
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    compiled = agreement()
    candidates = {("VN/GOV/H24", f"{TARGET}{number}"): (compiled,) for number in range(1000)}
    candidates["VN/GOV/H24", TARGET] = (compiled,)
    anchor = {("VN/GOV/H24", TARGET, "HP-01", "call"): True}
    fields = frozenset({"name", "province"})
    whole = Request(COUNTER, TARGET, "call", "HP-01", NOON)
    some = Request(COUNTER, TARGET, "call", "HP-01", NOON, fields=fields)
    denied = Request(COUNTER, TARGET, "call", "HP-09", NOON)

    rows: list[tuple[str, Callable[[], object]]] = [
        ("anchor: one tuple in a dict", lambda: anchor[("VN/GOV/H24", TARGET, "HP-01", "call")]),
        ("decide, every granted field", lambda: compiled.decide(whole, 17)),
        ("decide, two fields of five", lambda: compiled.decide(some, 17)),
        ("decide, refused for its purpose", lambda: compiled.decide(denied, 17)),
        ("make the request and decide", lambda: compiled.decide(Request(COUNTER, TARGET, "call", "HP-01", NOON), 17)),
        ("find among 1,001 and decide", lambda: decide_among(candidates["VN/GOV/H24", TARGET], whole)),
    ]
    for name, deed in rows:
        print(f"{median_us(deed, rounds):8.2f} us  {name}")


if __name__ == "__main__":
    main()
