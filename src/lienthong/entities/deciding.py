"""What people decide of pairs in the grey zone, by four eyes, and undoing what was done."""

from __future__ import annotations

from datetime import UTC, datetime

from lienthong.entities.look import two_records
from lienthong.entities.store import Store
from lienthong.i18n import T
from lienthong.linkage.matching.columns import MatchingRefused

NEEDED = 2
"""Persons who must say the same."""


def decide(store: Store, first: str, second: str, *, same: bool, who: str) -> bool:
    """Note that ``who`` holds the two records for one person (or two); True when it took effect.

    Two persons who say the same merge the entities or split the second record off; until then nothing changes.  A
    person who says otherwise than before is heard with the last word.  Raises MatchingRefused for names nobody bears.
    """
    return decide_pair(store, *two_records(store, first, second), same=same, who=who)


def decide_pair(store: Store, a: int, b: int, *, same: bool, who: str) -> bool:
    """As ``decide``, of records ``a`` and ``b`` (a < b) by their numbers."""
    if not who.strip():
        raise MatchingRefused(T("Say who decides."))
    with store.change():
        store.run("DELETE FROM decision WHERE a = ? AND b = ? AND who = ?", a, b, who)
        store.run("INSERT INTO decision VALUES (?, ?, ?, ?, ?)", a, b, same, who, _now())
        said = store.all("SELECT same, who FROM decision WHERE a = ? AND b = ? ORDER BY moment, who", a, b)
        agreeing = [each for verdict, each in said if verdict == same]
        if len(agreeing) < NEEDED or len(agreeing) < len(said):
            return False
        store.run("DELETE FROM grey WHERE a = ? AND b = ?", a, b)
        names = ", ".join(agreeing)
        return _merge(store, a, b, names) if same else _split(store, a, b, names)


def undo(store: Store, number: int, who: str) -> bool:
    """Note that ``who`` wants change ``number`` of the journal taken back; True when it was.

    When two persons want it, its records return to the entity they were in.

    Raises MatchingRefused for a change that is not there, was undone already, or whose entity has changed since.
    """
    if not who.strip():
        raise MatchingRefused(T("Say who decides."))
    with store.change():
        rows = store.all("SELECT kind, id, other, records, undone FROM journal WHERE number = ?", number)
        if not rows or rows[0][4]:
            raise MatchingRefused(T("There is no change {number} to undo."), number=number)
        kind, entity, other, records, _ = rows[0]
        held, home = (entity, other) if kind == "merge" else (other, entity)
        here = store.one("SELECT count(*) FROM entity WHERE id = ? AND r IN (SELECT unnest(?))", held, records)
        if here != len(records):
            raise MatchingRefused(
                T("The records of change {number} have moved on since."),
                mend=T("Undo the later changes first: lienthong link journal."), number=number,
            )  # fmt: skip
        store.run("DELETE FROM undoing WHERE number = ? AND who = ?", number, who)
        store.run("INSERT INTO undoing VALUES (?, ?, ?)", number, who, _now())
        wanting = [each for (each,) in store.all("SELECT who FROM undoing WHERE number = ? ORDER BY moment", number)]
        if len(wanting) < NEEDED:
            return False
        store.run("UPDATE entity SET id = ? WHERE id = ? AND r IN (SELECT unnest(?))", home, held, records)
        store.run("UPDATE journal SET undone = true WHERE number = ?", number)
        store.run("DELETE FROM undoing WHERE number = ?", number)
        _note(store, "undo", home, held, records, ", ".join(wanting))
        return True


def _merge(store: Store, a: int, b: int, who: str) -> bool:
    ids = dict(store.all("SELECT r, id FROM entity WHERE r IN (?, ?)", a, b))
    if ids[a] == ids[b]:
        return True
    records = [r for (r,) in store.all("SELECT r FROM entity WHERE id = ? ORDER BY r", ids[b])]
    store.run("UPDATE entity SET id = ? WHERE id = ?", ids[a], ids[b])
    _note(store, "merge", ids[a], ids[b], records, who)
    return True


def _split(store: Store, a: int, b: int, who: str) -> bool:
    """Take ``b`` out of the entity it shares with ``a``, into one of its own."""
    ids = dict(store.all("SELECT r, id FROM entity WHERE r IN (?, ?)", a, b))
    if ids[a] != ids[b]:
        return True
    number = int(store.one("SELECT coalesce(max(number), 0) + 1 FROM journal"))
    new = store.one("SELECT 'e-' || left(sha256(? || '/' || ?), 20)", ids[b], str(number))
    store.run("UPDATE entity SET id = ? WHERE r = ?", new, b)
    _note(store, "split", ids[a], new, [b], who)
    return True


def _note(store: Store, kind: str, entity: str, other: str, records: list[int], who: str) -> None:
    number = int(store.one("SELECT coalesce(max(number), 0) + 1 FROM journal"))
    store.run(
        "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, false)", number, _now(), kind, entity, other, records, who
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
