"""``lienthong link``: which records of one or several tables mean one person, why, and what people say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lienthong.cli.terminal import language, note, say, show_json
from lienthong.entities.deciding import decide, undo
from lienthong.entities.files import write_results
from lienthong.entities.link import Report, match
from lienthong.entities.look import changes, why
from lienthong.entities.models import Change
from lienthong.entities.store import STATE, Store
from lienthong.entities.words import reason_in_words
from lienthong.i18n import T, translate
from lienthong.linkage.matching.columns import Matching, MatchingRefused, read_matching

Folder = Annotated[Path, typer.Option("--out", help="The folder of results and state.")]
HERE = Path("link")


class FilesOrVerb(TyperGroup):
    """``link FILE...`` is ``link run FILE...``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Any: typer keeps its own copy of click
        """Put ``run`` before the names of files."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=FilesOrVerb, no_args_is_help=True, add_completion=False)


@app.callback()
def link() -> None:
    """Match records: lienthong link FILE... --config link.toml --out DIR.

    Run it again with the same folder to add records: entities that no new record belongs to keep their identifier.
    """


@app.command()
def run(
    files: Annotated[list[Path], typer.Argument(help="CSV or Parquet files of records.")],
    config: Annotated[Path | None, typer.Option("--config", help="A TOML file: columns and thresholds.")] = None,
    out: Folder = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Match the records of the files with each other and with those matched before."""
    job = read_matching(_text(config)) if config else Matching()
    with Store(out) as store:
        report = match(
            store, job, files, say=lambda step: note(T("done: {step}"), step=translate(STEPS[step], language()))
        )
        write_results(store, out, report, language())
    if as_json:
        show_json(report.as_dict())
    else:
        _show(report, out)


@app.command()
def explain(first: str, second: str, out: Folder = HERE) -> None:
    """Say why two records are held for one person, or not, and what happened to their entities."""
    with _opened(out) as store:
        told = why(store, first, second)
    one = told.entities[0] == told.entities[1]
    say(
        T("one entity: {id}") if one else T("two entities: {id} and {other}"),
        id=told.entities[0],
        other=told.entities[1],
    )
    say(T("probability that they are one person, by themselves: {p}"), p=f"{told.probability:.4f}")
    for field, level, weight in told.reasons:
        print(f"  {reason_in_words(field, level, weight, language())}")
    if not told.shared:
        say(T("They share nothing that is a reason to compare them."))
    _history(told.changes)


@app.command()
def judge(
    first: str,
    second: str,
    verdict: Annotated[str, typer.Argument(help="same or different")],
    who: Annotated[str, typer.Option("--by", help="Who says so.")],
    out: Folder = HERE,
) -> None:
    """Say of two records that they are one person or two; it counts when a second person says the same."""
    if verdict not in ("same", "different"):
        raise typer.BadParameter("the verdict is same or different")
    with _opened(out) as store:
        counts = decide(store, first, second, same=verdict == "same", who=who)
    say(T("Done: two persons say so.") if counts else T("Kept: it counts when another person says the same."))


@app.command(name="undo")
def undo_change(
    number: int, who: Annotated[str, typer.Option("--by", help="Who undoes it.")], out: Folder = HERE
) -> None:
    """Undo a merge or a split of the journal; it is done when a second person wants it too."""
    with _opened(out) as store:
        done = undo(store, number, who)
    if done:
        say(T("Change {number} is undone."), number=number)
    else:
        say(T("Kept: it counts when another person says the same."))


@app.command()
def journal(out: Folder = HERE) -> None:
    """Show every merge and split."""
    with _opened(out) as store:
        _history(changes(store))


STEPS = {
    "normalise": T("records read and normalised"),
    "compare": T("pairs compared"),
    "score and group": T("pairs scored and grouped"),
    "keep": T("entities written"),
}


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as failed:
        raise MatchingRefused(T("The job {file} can not be read."), file=file) from failed


def _opened(out: Path) -> Store:
    if not (out / STATE).exists():
        raise MatchingRefused(
            T("Nothing was matched in {folder} yet."), mend=T("Name the folder with --out."), folder=out
        )
    return Store(out)


def _show(report: Report, out: Path) -> None:
    say(
        T("{records} records ({new} new), {entities} entities; {compared} pairs compared, {joined} joined,"
          " {review} to review, {apart} kept apart"),
        records=report.records, new=report.new, entities=report.entities, compared=report.compared,
        joined=report.joined, review=report.to_review, apart=report.kept_apart,
    )  # fmt: skip
    if report.quality:
        say(T("by the labels: precision {precision}, recall {recall}, F1 {f1}"),
            **{name: f"{value:.4f}" for name, value in report.quality.items()})  # fmt: skip
    for reason, records in report.too_large.items():
        note(T("left out as shared by too many: {reason}, {records} records"), reason=reason, records=records)
    say(T("written to {folder}: entities.csv, review.csv, report.json"), folder=out)


def _history(told: list[Change] | tuple[Change, ...]) -> None:
    for change in told:
        undone = translate(T("(undone)"), language()) if change.undone else ""
        what = f"{change.kind}  {change.id} <- {change.other}"
        print(f"  {change.number}  {change.moment:%d/%m/%Y %H:%M}  {what}  {change.who} {undone}")
