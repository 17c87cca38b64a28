"""``lienthong address``: addresses old and new, in any spelling, to the commune that holds them on a day."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from lienthong.cli.terminal import language, note, show_json
from lienthong.errors import Problem
from lienthong.i18n import T, translate
from lienthong.law.units import check_day
from lienthong.linkage.address import Resolution, resolve
from lienthong.linkage.explain import COLUMNS, as_json, explanation, fields_of, placed_name

app = typer.Typer(add_completion=False)

_LONGEST_FIELD = 16 * 1024 * 1024
"""Characters of one cell that are read; of an address only its end counts."""


class TableUnreadable(Problem):
    """The file with addresses is no table with the named column."""

    kind = "address-table-unreadable"
    status = 422
    side = "caller"
    title = T("The table of addresses can not be read")


@app.command()
def address(
    text: Annotated[str | None, typer.Argument(help="One address, old or new, in any spelling.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Day (YYYY-MM-DD) of the answer; today.")] = None,
    written: Annotated[str | None, typer.Option("--written", help="Day the address was written, if known.")] = None,
    json_wanted: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
    file: Annotated[Path | None, typer.Option("--file", help="A CSV or Parquet file with many addresses.")] = None,
    column: Annotated[str | None, typer.Option("--column", help="The column that holds them.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the table with the answers goes.")] = None,
) -> None:
    """Say which commune an address lies in, or why that can not be said.

    lienthong address "12 Lê Lợi, P. Bến Nghé, Q.1, TP.HCM"

    lienthong address --file in.csv --column diachi --out out.csv
    """
    today = datetime.now().astimezone().date()
    day, day_written = check_day(_day(as_of) or today, today), _day(written)
    if file is not None and column and out is not None and text is None:
        _convert(file, column, out, day, day_written)
    elif text is not None and file is None:
        found = resolve(text, day, day_written)
        show_json(as_json(found, language())) if json_wanted else _show(found)
        if found.unit is None:
            raise typer.Exit(1)
    else:
        raise typer.BadParameter("give one address, or --file with --column and --out")


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day like 2025-07-01") from None


def _show(found: Resolution) -> None:
    if found.unit is not None:
        print(f"{found.unit.code}  {placed_name(found.unit)}")
    for unit in found.alternatives:
        print(f"? {unit.code}  {placed_name(unit)}")
    print(f"  {explanation(found, language())}")


def _convert(source: Path, column: str, target: Path, day: date, written: date | None) -> None:
    """Copy ``source`` to ``target`` with the answers beside each row; ``target`` appears only when whole."""
    beside = target.with_name(target.name + ".part")
    try:
        parquet = source.suffix.lower() == ".parquet"
        counts = (_answered_parquet if parquet else _answered)(source, column, beside, day, written)
        beside.replace(target)
    except (csv.Error, UnicodeDecodeError) as broken:
        raise TableUnreadable(
            T("{file} is no table of text in UTF-8: {why}"), mend=T("Save it as CSV, UTF-8."), file=source, why=broken
        ) from None
    except OSError as refused:
        raise TableUnreadable(T("The file {file}: {why}"), file=refused.filename, why=refused.strerror) from None
    finally:
        beside.unlink(missing_ok=True)
    note(
        T("{rows} addresses: {counts}"),
        rows=sum(counts.values()),
        counts=", ".join(f"{status} {number}" for status, number in sorted(counts.items())),
    )


def _answered(source: Path, column: str, target: Path, day: date, written: date | None) -> dict[str, int]:
    """Write ``target``; status -> number of rows."""
    from rich.console import Console  # heavy, only a batch shows progress
    from rich.progress import open as open_shown  # heavy, as above

    counts: dict[str, int] = {}
    spoken = language()
    csv.field_size_limit(_LONGEST_FIELD)
    with (
        open_shown(
            source,
            "rt",
            encoding="utf-8-sig",
            newline="",
            description=translate(T("Addresses"), spoken),
            transient=True,
            console=Console(stderr=True),
        ) as read,
        target.open("w", encoding="utf-8-sig", newline="") as to,
    ):
        rows = csv.DictReader(read)
        names = list(rows.fieldnames or ())
        if column not in names:
            raise _no_column(column, names)
        answers = csv.DictWriter(to, [name for name in names if name not in COLUMNS] + list(COLUMNS), restval="")
        answers.writeheader()
        for row in rows:
            found = resolve(row[column] or "", day, written)
            counts[found.status] = counts.get(found.status, 0) + 1
            kept = {name: row[name] for name in names if name not in COLUMNS}
            answers.writerow(kept | fields_of(found, spoken))
    return counts


def _answered_parquet(source: Path, column: str, target: Path, day: date, written: date | None) -> dict[str, int]:
    """Write ``target`` as Parquet, a batch of rows at a time; status -> number of rows."""
    import pyarrow as pa  # heavy, only a Parquet file needs it
    from pyarrow import parquet  # heavy, as above
    from rich.console import Console  # heavy, only a batch shows progress
    from rich.progress import Progress  # heavy, as above

    counts: dict[str, int] = {}
    spoken = language()
    try:
        file = parquet.ParquetFile(source)
    except pa.ArrowInvalid as broken:
        raise TableUnreadable(T("The file {file}: {why}"), file=source, why=broken) from None
    with file, Progress(transient=True, console=Console(stderr=True)) as progress:
        kept = [field for field in file.schema_arrow if field.name not in COLUMNS]
        if column not in file.schema_arrow.names:
            raise _no_column(column, file.schema_arrow.names)
        shown = progress.add_task(translate(T("Addresses"), spoken), total=file.metadata.num_rows)
        schema = pa.schema([*kept, *(pa.field(name, pa.string()) for name in COLUMNS)])
        with parquet.ParquetWriter(target, schema) as writer:
            for batch in file.iter_batches(10_000):
                answers: list[dict[str, str]] = []
                for text in batch.column(column).to_pylist():
                    found = resolve("" if text is None else str(text), day, written)
                    counts[found.status] = counts.get(found.status, 0) + 1
                    answers.append(fields_of(found, spoken))
                beside = [pa.array([answer[name] for answer in answers], pa.string()) for name in COLUMNS]
                writer.write_batch(
                    pa.record_batch([*(batch.column(field.name) for field in kept), *beside], schema=schema)
                )
                progress.advance(shown, batch.num_rows)
    return counts


def _no_column(column: str, names: Iterable[str]) -> TableUnreadable:
    return TableUnreadable(
        T("The file has no column {column}; it has: {columns}."),
        mend=T("Name one of them with --column."),
        column=column,
        columns=", ".join(names),
    )
