"""``lienthong rekey``: a table of figures by the units of another day, printed as CSV."""

from __future__ import annotations

import csv
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from lienthong.cli.terminal import language, note
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.law.units import check_day
from lienthong.linkage.rekey import Figures, Rekeyed, rekey

app = typer.Typer(add_completion=False)
_DAY = ["%Y-%m-%d"]


class FiguresUnreadable(Problem):
    """The file is no table with the named columns."""

    kind = "figures-unreadable"
    status = 422
    side = "caller"
    title = T("The table of figures can not be read")


@app.command(name="rekey")
def rekey_table(
    file: Annotated[Path, typer.Argument(help="A CSV file with a column of unit codes.")],
    code_column: Annotated[str, typer.Option("--code-column", help="The column of unit codes.")],
    before: Annotated[datetime, typer.Option("--from", formats=_DAY, help="The day the codes are of.")],
    after: Annotated[datetime, typer.Option("--to", formats=_DAY, help="The day of the units wanted.")],
    sums: Annotated[str, typer.Option("--sum", help="Amounts to add, between commas.")] = "",
    means: Annotated[str, typer.Option("--mean", help="Rates to average, each as column:weight.")] = "",
    by: Annotated[str, typer.Option("--by", help="Columns that tell rows of one unit apart, such as a year.")] = "",
    method: Annotated[str, typer.Option("--method", help="Divided units: whole (left out), usual, equal.")] = "whole",
) -> None:
    """Print a table of figures by the units of another day.

    lienthong rekey in.csv --code-column ma --from 2025-06-30 --to 2025-07-01 --sum dan_so --mean gia:dan_so
    """
    if method not in ("whole", "usual", "equal"):
        raise typer.BadParameter("method is whole, usual or equal")
    rates = tuple(_weighted(pair) for pair in _listed(means))
    if set(_listed(sums)) & {name for name, _ in rates}:
        raise typer.BadParameter("a column is either an amount (--sum) or a rate (--mean)")
    figures = Figures(code_column, _listed(sums), rates, _listed(by))
    today = datetime.now().astimezone().date()
    first, second = check_day(before.date(), today), check_day(after.date(), today)
    made = rekey(_read(file, figures), figures, first, second, method)
    _print(made, figures)
    _report(made)
    if made.lost:
        raise typer.Exit(1)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _weighted(pair: str) -> tuple[str, str]:
    name, colon, weight = pair.rpartition(":")
    if not colon:
        raise typer.BadParameter(f"{pair!r}: a rate needs its weight, as column:weight")
    return name, weight


def _read(file: Path, figures: Figures) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as source:
            table = csv.DictReader(source, restval="")
            has = set(table.fieldnames or ())
            wanted = {figures.code, *figures.sums, *figures.by, *(name for pair in figures.means for name in pair)}
            if wanted - has:
                raise FiguresUnreadable(
                    T("The file has no column {missing}; it has: {columns}."),
                    missing=", ".join(sorted(wanted - has)),
                    columns=", ".join(table.fieldnames or ()),
                )
            return list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as wrong:
        raise FiguresUnreadable(
            T("{file} is no table of text in UTF-8: {why}"), mend=T("Save it as CSV, UTF-8."), file=file, why=wrong
        ) from None


def _print(made: Rekeyed, figures: Figures) -> None:
    rates = (name for name, _ in figures.means)
    columns = [*figures.by, figures.code, "unit_name", *figures.sums, *rates, "sources", "assumed"]
    table = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(made.rows)


def _report(made: Rekeyed) -> None:
    """What was lost and what is assumed, on standard error."""
    for total in made.totals:
        note(
            T("{column}: {before} before, {after} after, {lost} lost, {assumed} by assumption"),
            column=total.column,
            before=total.before.normalize(),
            after=total.after.normalize(),
            lost=total.lost.normalize(),
            assumed=total.assumed.normalize(),
        )
    for lost in made.lost:
        note(T("Row {row} is left out: {why}"), row=lost.row + 1, why=lost.why.detail(language()))
