"""Carrying a table of figures from the units of one day to those of another: 63 provinces to 34, old communes to new.

Amounts (people, money, hectares) are summed; rates are averaged with a weight column.  Where a unit was divided, nobody
publishes how much went where: the method chosen says what is assumed, and every row that rests on it is listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation, localcontext
from functools import cache
from typing import Final, Literal

from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.law.successions import absorbed, predecessors, successors
from lienthong.law.units import REFORM, Unit, UnitUnknown, level_of, unit_on

Method = Literal["whole", "usual", "equal"]
"""What becomes of a divided unit: left out and listed, all to its usual successor, or equal parts."""

_DIGITS: Final = 60
"""Digits carried: sums of any table come out exactly."""
_PLACES: Final = 12
"""Decimal places shown of what was divided."""


class FigureUnreadable(Problem):
    """A cell of a figure column is not a number."""

    kind = "figure-unreadable"
    status = 422
    side = "caller"
    title = T("A figure can not be read")


@dataclass(frozen=True, slots=True)
class Figures:
    """The columns of a table: its unit codes, what else tells rows apart, amounts, and rates with their weights."""

    code: str
    sums: tuple[str, ...] = ()
    means: tuple[tuple[str, str], ...] = ()
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """The part (of 1) of one source row that went into one unit; ``assumed`` when only a method says how much."""

    row: int
    source: str
    target: Unit
    part: Decimal
    assumed: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """A source row that went nowhere, and why."""

    row: int
    code: str
    why: Problem


@dataclass(frozen=True, slots=True)
class Total:
    """One amount before and after; ``lost`` is what the rows left out held, ``assumed`` what rests on a method."""

    column: str
    before: Decimal
    after: Decimal
    lost: Decimal
    assumed: Decimal


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """The table by the units of the other day, with the lineage of every row and what was lost or assumed."""

    rows: tuple[Mapping[str, str], ...]
    shares: tuple[Share, ...]
    lost: tuple[Lost, ...]
    totals: tuple[Total, ...]


def rekey(rows: Sequence[Mapping[str, str]], figures: Figures, before: date, after: date, method: Method) -> Rekeyed:
    """``rows`` keyed by the units of ``before`` as rows keyed by those of ``after``, ordered by group and code.

    Cells are text; an empty one is no figure and is left out of sums and means.  Numbers have a dot as decimal sign.
    Raises FigureUnreadable for anything else.
    """
    with localcontext() as context:
        context.prec = _DIGITS
        shares, lost = _shares(rows, figures, before, after, method)
        groups: dict[tuple[str, ...], list[Share]] = {}
        for share in shares:
            key = (*(rows[share.row].get(name, "") for name in figures.by), share.target.code)
            groups.setdefault(key, []).append(share)
        made = tuple(_row(key, groups[key], rows, figures) for key in sorted(groups))
        return Rekeyed(made, tuple(shares), tuple(lost), _totals(rows, figures, shares, lost))


def _shares(
    rows: Sequence[Mapping[str, str]], figures: Figures, before: date, after: date, method: Method
) -> tuple[list[Share], list[Lost]]:
    shares: list[Share] = []
    lost: list[Lost] = []
    for number, row in enumerate(rows):
        code = row.get(figures.code, "").strip()
        try:
            parts = _parts(code, before, after, method)
        except Problem as why:
            lost.append(Lost(number, code, why))
            continue
        shares.extend(Share(number, code, unit, part, len(parts) > 1 or assumed) for unit, part, assumed in parts)
    return shares, lost


@cache
def _parts(code: str, before: date, after: date, method: Method) -> tuple[tuple[Unit, Decimal, bool], ...]:
    """(unit of ``after``, part, whether assumed) for the unit bearing ``code`` on ``before``; parts add up to 1."""
    if unit_on(code, level_of(code), before) is None:
        raise UnitUnknown(T("No unit bore the code {code} on {day}."), code=code[:16], day=before.isoformat())
    targets = _targets(code, before, after)
    if not targets:
        raise UnitUnknown(T("Nothing is known of {code} on {day}."), code=code, day=after.isoformat())
    if len(targets) == 1:
        return ((targets[0], Decimal(1), False),)
    if method == "usual":
        return ((targets[0], Decimal(1), True),)
    if method == "equal":
        part = Decimal(1) / len(targets)
        return (*((unit, part, True) for unit in targets[:-1]), (targets[-1], 1 - part * (len(targets) - 1), True))
    raise UnitUnknown(
        T("{code} was divided into {number} units, and how much went where is not known."),
        mend=T("Choose a method: usual, or equal."),
        code=code,
        number=str(len(targets)),
    )


def _targets(code: str, before: date, after: date) -> list[Unit]:
    """Units of ``after`` that hold what the unit held on ``before``, the usual one first."""
    if before <= after or after >= REFORM:
        return [each.unit for each in successors(code, after, was_on=before)]
    if before >= REFORM:
        earlier = [each.unit for each in predecessors(code)]
    else:
        unit = unit_on(code, level_of(code), after)
        earlier = [] if unit is None else [unit]
    return earlier + [gone for each in earlier if each.level == "province" for gone in absorbed(each.code, after)]


def _row(
    key: tuple[str, ...], shares: Iterable[Share], rows: Sequence[Mapping[str, str]], figures: Figures
) -> Mapping[str, str]:
    shares = list(shares)
    unit = shares[0].target
    made = dict(zip(figures.by, key, strict=False))
    made |= {figures.code: unit.code, "unit_name": unit.full_name}
    for name in figures.sums:
        amounts = [value * share.part for share in shares if (value := _number(rows, share.row, name)) is not None]
        made[name] = _text(round(sum(amounts, Decimal(0)), _PLACES)) if amounts else ""
    for name, weight in figures.means:
        made[name] = _mean(shares, rows, name, weight)
    made["sources"] = " ".join(dict.fromkeys(share.source for share in shares))
    made["assumed"] = "1" if any(share.assumed for share in shares) else "0"
    return made


def _mean(shares: Iterable[Share], rows: Sequence[Mapping[str, str]], name: str, weight: str) -> str:
    """The weighted mean over the rows that have both; empty when their weights add up to nothing."""
    pairs = [
        (value, weighed * share.part)
        for share in shares
        if (value := _number(rows, share.row, name)) is not None
        and (weighed := _number(rows, share.row, weight)) is not None
    ]
    whole = sum((weighed for _, weighed in pairs), Decimal(0))
    if not whole:
        return ""
    return _text(round(sum((value * weighed for value, weighed in pairs), Decimal(0)) / whole, _PLACES))


def _totals(
    rows: Sequence[Mapping[str, str]], figures: Figures, shares: Sequence[Share], lost: Sequence[Lost]
) -> tuple[Total, ...]:
    found: list[Total] = []
    for name in figures.sums:
        values = [_number(rows, number, name) or Decimal(0) for number in range(len(rows))]
        found.append(
            Total(
                column=name,
                before=sum(values, Decimal(0)),
                after=sum((values[share.row] * share.part for share in shares), Decimal(0)),
                lost=sum((values[each.row] for each in lost), Decimal(0)),
                assumed=sum((values[share.row] * share.part for share in shares if share.assumed), Decimal(0)),
            )
        )
    return tuple(found)


def _number(rows: Sequence[Mapping[str, str]], row: int, name: str) -> Decimal | None:
    text = (rows[row].get(name) or "").strip()
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise FigureUnreadable(
            T("Row {row}, column {column}: this is no number."),
            mend=T("Write numbers with a dot as decimal sign and nothing between thousands."),
            row=str(row + 1),
            column=name,
        )
    return value


def _text(value: Decimal) -> str:
    """The number without an exponent and without zeros nobody needs."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
