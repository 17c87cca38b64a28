"""What a person who reviews asks of a store, by numbers of records: these stand in addresses, identifiers never.

Of a pair on which one person has spoken it is told that, not what was said: the second pair of eyes is to be its own.
"""

from __future__ import annotations

from typing import Final

from lienthong.entities.look import changes, why_of
from lienthong.entities.models import SHOWN, Overview, Pair, Record, Waiting, Whole
from lienthong.entities.store import Store
from lienthong.i18n import T
from lienthong.linkage.matching.columns import MatchingUnknown
from lienthong.linkage.matching.pairs import unpack
from lienthong.linkage.matching.weights import shipped_weights

MOST_REASONS: Final = 3
MOST_RECORDS: Final = 200
_RECORDS: Final = (
    f"SELECT r, coalesce(n.source, ''), n.record, id, {', '.join(f'coalesce(t.{name}, {{{name}}})' for name in SHOWN)}"
    " FROM norm n JOIN entity e USING (r) LEFT JOIN told t USING (r) WHERE {which} ORDER BY r"
).format(
    name="n.name", birth="CAST(n.y AS VARCHAR)", gender="''", number="n.number", phone="n.phone", unit="n.unit",
    street="n.street", which="{which}",
)  # fmt: skip
_WAITING: Final = """
SELECT a, b, p, code, coalesce(l.source, ''), coalesce(o.source, ''),
  (SELECT count(DISTINCT who) FROM decision d WHERE d.a = g.a AND d.b = g.b),
  EXISTS (SELECT 1 FROM decision d WHERE d.a = g.a AND d.b = g.b AND d.who = ?)
FROM grey g JOIN norm l ON l.r = g.a JOIN norm o ON o.r = g.b"""


def overview(store: Store, who: str, most: int, skip: int = 0) -> Overview:
    """What waits: pairs that one person has spoken on and ``who`` not first, then the likeliest, ``who``'s own last."""
    rows = store.all(f"{_WAITING} ORDER BY 8, 7 DESC, p DESC, a, b LIMIT ? OFFSET ?", who, most, skip)
    return Overview(
        store.one("SELECT count(*) FROM norm"), store.one("SELECT count(DISTINCT id) FROM entity"),
        store.one("SELECT count(*) FROM grey"), tuple(_waiting(row) for row in rows),
    )  # fmt: skip


def pair(store: Store, a: int, b: int, who: str) -> Pair:
    """Records ``a`` and ``b`` side by side.  Raises MatchingUnknown."""
    a, b = sorted((a, b))
    found = _records(store, f"r IN ({a:d}, {b:d})")
    if len(found) != 2:
        raise _unknown()
    said = dict(store.all("SELECT who, same FROM decision WHERE a = ? AND b = ?", a, b))
    return Pair(found[0], found[1], why_of(store, a, b), len(said), said.get(who))


def whole(store: Store, r: int, who: str) -> Whole:
    """The entity of record ``r``.  Raises MatchingUnknown."""
    entity = store.one("SELECT id FROM entity WHERE r = ?", r)
    if entity is None:
        raise _unknown()
    numbers = [number for (number,) in store.all("SELECT r FROM entity WHERE id = ? LIMIT ?", entity, MOST_RECORDS)]
    listed = ", ".join(map(str, numbers))
    waits = store.all(f"{_WAITING} WHERE a IN ({listed}) OR b IN ({listed}) ORDER BY p DESC, a, b", who)
    wanted = store.all("SELECT number, bool_or(who = ?) FROM undoing GROUP BY number", who)
    return Whole(
        entity, tuple(_records(store, f"r IN ({listed})")), tuple(_waiting(row) for row in waits),
        tuple(changes(store, entity)), dict(wanted),
    )  # fmt: skip


def _records(store: Store, which: str) -> list[Record]:
    return [
        Record(r, source, record, entity, {name: text or "" for name, text in zip(SHOWN, told, strict=True)})
        for r, source, record, entity, *told in store.all(_RECORDS.format(which=which))
    ]


def _waiting(row: tuple[int, int, float, int, str, str, int, bool]) -> Waiting:
    a, b, p, code, left, right, spoken, mine = row
    reasons = shipped_weights().reasons(unpack(code))[:MOST_REASONS]
    return Waiting(a, b, p, tuple(reasons), (left, right), spoken, mine)


def _unknown() -> MatchingUnknown:
    return MatchingUnknown(
        T("There is no such record, or it was corrected and is compared anew."), mend=T("Go back to the list.")
    )
