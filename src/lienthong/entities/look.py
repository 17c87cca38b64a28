"""Questions to a store: why two records are or are not one, what came of them, which entity a single record means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from typing import Final

import pyarrow as pa

from lienthong.entities.models import Change, Found, Why
from lienthong.entities.store import Store
from lienthong.i18n import T
from lienthong.linkage.matching import pairs
from lienthong.linkage.matching.columns import MatchingRefused
from lienthong.linkage.matching.single import Normal, compared, normal
from lienthong.linkage.matching.weights import Weights, shipped_weights

MOST_FOUND: Final = 10
MOST_NEAR: Final = 1_000
"""Records compared in one look-up at most."""


def number_of(store: Store, name: str) -> int:
    """The number of the record called ``name``: its identifier, or ``source/identifier`` where several bear it.

    Raises MatchingRefused when none or several are meant.
    """
    rows = store.all(
        "SELECT r FROM norm WHERE record = ? OR coalesce(source, '') || '/' || record = ? ORDER BY r", name, name
    )
    if len(rows) != 1:
        raise MatchingRefused(
            T("{count} records are called {record}."),
            mend=T("Say it as source/identifier."),
            count=len(rows),
            record=name,
        )
    return int(rows[0][0])


def why(store: Store, first: str, second: str, weights: Weights | None = None) -> Why:
    """Why the records named are one person or two.  Raises MatchingRefused for a name nobody bears."""
    return why_of(store, *two_records(store, first, second), weights)


def two_records(store: Store, first: str, second: str) -> tuple[int, int]:
    """The numbers of two records named, in their order.  Raises MatchingRefused."""
    a, b = sorted((number_of(store, first), number_of(store, second)))
    if a == b:
        raise MatchingRefused(T("That is one and the same record."))
    return a, b


def why_of(store: Store, a: int, b: int, weights: Weights | None = None) -> Why:
    """Why records ``a`` and ``b`` (a < b) are one person or two."""
    store.keep("pair", {"a": pa.int32(), "b": pa.int32()}, [(a, b)])
    store.table("fresh", f"SELECT * FROM norm WHERE r IN ({a}, {b})")
    store.table("named", pairs.frequencies())
    ((_, _, code),) = store.all(pairs.compared())
    pattern = pairs.unpack(code)
    scale = weights or shipped_weights()
    shared = store.all("SELECT DISTINCT l.reason FROM keyed l JOIN keyed o USING (k) WHERE l.r = ? AND o.r = ?", a, b)
    ids = dict(store.all("SELECT r, id FROM entity WHERE r IN (?, ?)", a, b))
    names = list(pairs.BLOCKS)
    return Why(
        (ids[a], ids[b]), scale.score(pattern), tuple(scale.reasons(pattern)),
        tuple(names[reason] for (reason,) in sorted(shared)), tuple(changes(store, ids[a], ids[b])),
    )  # fmt: skip


def changes(store: Store, *ids: str) -> list[Change]:
    """The journal of these entities, the newest last; of all without any."""
    asked = "WHERE id IN (SELECT unnest(?)) OR other IN (SELECT unnest(?))" if ids else ""
    rows = store.all(
        f"SELECT number, moment, kind, id, other, who, undone FROM journal {asked} ORDER BY number",
        *([list(ids), list(ids)] if ids else []),
    )
    return [Change(number, moment.replace(tzinfo=UTC), *rest) for number, moment, *rest in rows]


def find(store: Store, record: Mapping[str, str | None], weights: Weights | None = None) -> list[Found]:
    """The entities that ``record`` (fields of FIELDS, all text) may mean, the likeliest first, ten at most."""
    asked = normal(record)
    given = [getattr(asked, name) for name in pairs.KEY_PARTS]
    ((*keys, named, marked),) = store.often(pairs.keys_of_one(), *given[:-1], asked.marked and list(asked.marked))
    asked = replace(asked, accents=marked if asked.marked else None)
    near = _sharing(store, [key for key in keys if key is not None])
    if not near:
        return []
    counted = store.often("SELECT bearers FROM bearer WHERE k = ?", named) if asked.bag else []
    bearers = counted[0][0] if counted else 0
    scale = weights or shipped_weights()
    scored = [
        (scale.score(pairs.unpack(compared(Normal(*keys), asked, bearers))), r, source, name)
        for r, source, name, *keys in store.all(_KEYS_OF.format(_listed(near)))
    ]
    likeliest = sorted(scored, reverse=True, key=lambda each: each[:2])[: 5 * MOST_FOUND]
    entities = dict(store.all(f"SELECT r, id FROM entity WHERE r IN ({_listed(r for _, r, *_ in likeliest)})"))
    best: dict[str, Found] = {}
    for p, r, source, name in likeliest:
        best.setdefault(entities[r], Found(entities[r], source, name, p, r))
    return list(best.values())[:MOST_FOUND]


def _sharing(store: Store, keys: Sequence[int]) -> list[int]:
    """Records that share a key, those of the rarest keys first, MOST_NEAR at most."""
    if not keys:
        return []
    each = " UNION ALL ".join(f"(SELECT k, r FROM keyed WHERE k = {key} LIMIT {MOST_NEAR})" for key in keys)
    sharing = defaultdict[int, list[int]](list)
    for key, r in store.all(each):
        sharing[key].append(r)
    near = dict.fromkeys(r for records in sorted(sharing.values(), key=len) for r in records)
    return list(near)[:MOST_NEAR]


def _listed(records: Iterable[int]) -> str:
    return ", ".join(map(str, records))


_KEYS_OF: Final = (
    f"SELECT r, source, record, {', '.join(name for name in Normal.__dataclass_fields__ if name != 'marked')}"
    " FROM norm WHERE r IN ({})"
)
