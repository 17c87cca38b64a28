"""How a member's copy of a table differs from the source, by keyed digests: the one SQL question, and its answer read.

Each side digests its own rows under a key made for this one comparison, so that values travel from neither side; the
asker learns which of its own rows differ in which fields, and of rows it has not only how many there are.  Pure.
Promise: a row that is equal on both sides leaves nothing but a count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.query.names import service_name, write_name

KEY_BYTES: Final = 32
MOST_FIELDS: Final = 40
DIGEST_DIGITS: Final = 32
"""Of each SHA-256, 128 bits travel: two rows of a hundred million meet by chance once in 10^22 comparisons."""
_KEY: Final = re.compile(r"[0-9a-f]{64}")
_COLUMN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

Kind = Literal["differs", "only-here"]


class NotComparable(Problem):
    """A copy can not be compared with its source as it is configured."""

    kind: ClassVar[str] = "not-comparable"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The copy can not be compared with its source")


@dataclass(frozen=True, slots=True)
class Difference:
    """One row of the copy that is not as the source has it."""

    key: str
    kind: Kind
    fields: tuple[str, ...]
    """Fields that differ; none for a row that the source does not have."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What one comparison found."""

    same: int
    differing: int
    only_here: int
    only_there: int
    by_field: Mapping[str, int] = field(default_factory=dict[str, int])
    differences: tuple[Difference, ...] = ()

    @property
    def rows_here(self) -> int:
        """Rows of the copy."""
        return self.same + self.differing + self.only_here

    @property
    def rows_there(self) -> int:
        """Rows of the source that the agreement shows."""
        return self.same + self.differing + self.only_there


def comparison_sql(copy: str, source: str, key: str, fields: Sequence[str], secret: str) -> str:
    """The question about the services ``copy`` and ``source``, joined by the column ``key``.

    ``secret`` is 64 hexadecimal digits, made for this comparison alone.  Raises NotComparable.
    """
    if not fields or len(fields) > MOST_FIELDS or key in fields or len(set(fields)) != len(fields):
        raise NotComparable(
            T("Name 1 to {most} different fields to compare, and the key apart from them."), most=MOST_FIELDS
        )
    if not _KEY.fullmatch(secret) or not all(_COLUMN.fullmatch(each) for each in (key, *fields)):
        raise NotComparable(T("A field's name must be a plain word."))
    # Names are checked above, the rest is ours: no value of anybody stands in this SQL.
    digests, names = _digests(key, fields, secret), [f"x{n}" for n in range(len(fields))]
    there = f"SELECT {digests} FROM {write_name(service_name(source))}"  # noqa: S608 - checked names and our own digits
    here = f'SELECT CAST("{key}" AS VARCHAR) AS id, {digests} FROM {write_name(service_name(copy))}'  # noqa: S608 - checked names and our own digits
    both = "here.k IS NOT NULL AND there.k IS NOT NULL"
    unequal = [f"here.d{n} IS DISTINCT FROM there.d{n}" for n in range(len(fields))]
    flags = [f"CASE WHEN {both} AND {each} THEN 1 ELSE 0 END AS x{n}" for n, each in enumerate(unequal)]
    joined = (
        f"SELECT CASE WHEN {both} AND NOT ({' OR '.join(unequal)}) THEN NULL ELSE here.id END AS id,"  # noqa: S608 - checked names and our own digits
        " CASE WHEN here.k IS NULL THEN 0 ELSE 1 END AS is_here,"
        f" CASE WHEN there.k IS NULL THEN 0 ELSE 1 END AS is_there, {', '.join(flags)}"
        " FROM here FULL JOIN there ON here.k = there.k"
    )
    shown = ", ".join(("id", "is_here", "is_there", *names))
    parts = f"WITH there AS ({there}), here AS ({here}), joined AS ({joined})"
    return f"{parts} SELECT {shown}, count(*) AS n FROM joined GROUP BY {shown}"  # noqa: S608 - checked names and our own digits


def read_comparison(rows: Sequence[Sequence[object]], fields: Sequence[str]) -> Compared:
    """The rows of the answer, summed up."""
    counts: Counter[str] = Counter()
    by_field: Counter[str] = Counter()
    found: list[Difference] = []
    for row in rows:
        key, here, there, *rest = row
        flags, n = rest[:-1], int(str(rest[-1]))
        differing = tuple(name for name, flag in zip(fields, flags, strict=True) if int(str(flag)))
        kind = "same" if here and there and not differing else "differs" if there and here else ""
        kind = kind or ("only-here" if here else "only-there")
        counts[kind] += n
        if kind == "differs":
            by_field.update(dict.fromkeys(differing, n))
            found.append(Difference(str(key), "differs", differing))
        elif kind == "only-here":
            found.append(Difference(str(key), "only-here", ()))
    return Compared(
        counts["same"], counts["differs"], counts["only-here"], counts["only-there"],
        {name: by_field[name] for name in fields if by_field[name]}, tuple(sorted(found, key=lambda each: each.key)),
    )  # fmt: skip


def _digests(key: str, fields: Sequence[str], secret: str) -> str:
    """SELECT items: the key's digest ``k``, and ``d0``... of each field, bound to its row and its name."""
    row = f'trim(CAST("{key}" AS VARCHAR))'
    listed = [f"left(sha256('{secret}' || {row}), {DIGEST_DIGITS}) AS k"]
    for n, name in enumerate(fields):
        value = f'trim(CAST("{name}" AS VARCHAR))'
        listed.append(f"left(sha256('{secret}{name}=' || {row} || '=' || {value}), {DIGEST_DIGITS}) AS d{n}")
    return ", ".join(listed)
