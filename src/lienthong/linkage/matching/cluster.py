"""From likely pairs to groups of records, without chaining a family into one person.

Pairs are taken from the most to the least likely.  Two groups become one unless something speaks against it: personal
numbers that are not one with a slip, births that can not be one, or a pair between the groups that was compared and
found to be two people.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Group:
    """Records that mean one person, with what is known for certain of them."""

    records: list[int]
    numbers: set[str] = field(default_factory=set[str])
    births: set[tuple[int, int, int]] = field(default_factory=set[tuple[int, int, int]])
    entities: list[tuple[str, list[int]]] = field(default_factory=list[tuple[str, list[int]]])
    """Entities that were there before, with the records they had; the first one gives the group its identifier."""


@dataclass(frozen=True, slots=True)
class Known:
    """What stands in the way of joining records: numbers (12 digits) and full births, by record."""

    numbers: Mapping[int, str]
    births: Mapping[int, tuple[int, int, int]]


class Clustering:
    """Groups under way: ``join`` likely pairs in order, then read ``group_of``."""

    def __init__(self, known: Known, against: Iterable[tuple[int, int]]) -> None:
        self._known = known
        self._group: dict[int, Group] = {}
        self._against: defaultdict[int, set[int]] = defaultdict(set)
        for a, b in against:
            self._against[a].add(b)
            self._against[b].add(a)
        self.kept_apart: list[tuple[int, int]] = []
        """Pairs likely by themselves whose groups were not joined."""

    def join(self, a: int, b: int) -> bool:
        """Make the groups of ``a`` and ``b`` one; False when something speaks against it."""
        left, right = self.group_of(a), self.group_of(b)
        if left is right:
            return True
        if _rank(left) < _rank(right):
            left, right = right, left
        if _numbers_differ(left, right) or _births_differ(left, right) or self._spoken_against(left, right):
            self.kept_apart.append((a, b))
            return False
        left.records += right.records
        left.numbers |= right.numbers
        left.births |= right.births
        left.entities += right.entities
        for record in right.records:
            self._group[record] = left
        return True

    def group_of(self, record: int) -> Group:
        """The group that holds ``record``, itself alone at first."""
        found = self._group.get(record)
        if found is None:
            number, birth = self._known.numbers.get(record), self._known.births.get(record)
            found = Group([record], {number} if number else set(), {birth} if birth else set())
            self._group[record] = found
        return found

    def remember(self, entity: str, records: list[int]) -> None:
        """Let ``records`` be one group from the start, as the entity they are already."""
        whole = self.group_of(records[0])
        for record in records[1:]:
            other = self.group_of(record)
            whole.records += other.records
            whole.numbers |= other.numbers
            whole.births |= other.births
            self._group[record] = whole
        whole.entities.append((entity, list(records)))

    def groups(self) -> list[Group]:
        """Every group of which a record was in a pair."""
        return list({id(group): group for group in self._group.values()}.values())

    def _spoken_against(self, left: Group, right: Group) -> bool:
        if len(left.records) == 1 and len(right.records) == 1:
            return False
        ours = set(left.records)
        return any(not ours.isdisjoint(self._against.get(record, ())) for record in right.records)


def _rank(group: Group) -> tuple[bool, int, int]:
    """Which of two groups keeps its identifier: an entity before a new group, the larger, the earlier."""
    return bool(group.entities), len(group.records), -min(group.records)


def _numbers_differ(left: Group, right: Group) -> bool:
    """Whether both hold personal numbers and none of one is one of the other with at most one slip."""
    if not left.numbers or not right.numbers or left.numbers & right.numbers:
        return False
    return not any(_one_slip(mine, theirs) for mine in left.numbers for theirs in right.numbers)


def _one_slip(mine: str, theirs: str) -> bool:
    unlike = [at for at, (m, t) in enumerate(zip(mine, theirs, strict=True)) if m != t]
    if len(unlike) == 2:
        first, second = unlike
        return second == first + 1 and mine[first] == theirs[second] and mine[second] == theirs[first]
    return len(unlike) <= 1


def _births_differ(left: Group, right: Group) -> bool:
    if not left.births or not right.births or left.births & right.births:
        return False
    return not any(_could_be_one(mine, theirs) for mine in left.births for theirs in right.births)


def _could_be_one(mine: tuple[int, int, int], theirs: tuple[int, int, int]) -> bool:
    """Two of year, month and day agree, or month and day stand the other way round."""
    swapped = mine[0] == theirs[0] and mine[1:] == (theirs[2], theirs[1])
    return swapped or sum(m == t for m, t in zip(mine, theirs, strict=True)) >= 2
