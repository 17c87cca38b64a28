"""``lienthong query``: one SQL question over tables of several members, asked through your own node."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from lienthong.cli.terminal import ask, say, show_json, show_problem_body
from lienthong.cli.where import asker
from lienthong.i18n import T

app = typer.Typer(add_completion=False)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="One SELECT; tables are named member.system.table.")],
    purpose: Annotated[str | None, typer.Option("--purpose", help="Code of the registered purpose.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the node answers.")] = False,
    node: Annotated[str | None, typer.Option("--node", envvar="LIENTHONG_NODE", help="Client listener.")] = None,
    client: Annotated[str | None, typer.Option("--client", envvar="LIENTHONG_CLIENT", help="Your system.")] = None,
) -> None:
    """Ask one SQL question over tables of several members.

    lienthong query "SELECT gender, count(*) FROM g01.dancu.citizen GROUP BY gender"
    """
    chosen = asker(node, client)
    question: dict[str, str] = {"sql": sql}
    if purpose:
        question["purpose"] = purpose
    status, _, body = ask(
        chosen.url,
        "POST",
        "/sql",
        body=json.dumps(question).encode(),
        headers={"X-Road-Client": quote(chosen.client, safe="/"), "Content-Type": "application/json"},
    )
    answer: dict[str, Any] = json.loads(body)
    if as_json:
        show_json(answer)
    elif status < 400:
        _show(answer)
    if status >= 400:
        raise typer.Exit(1 if as_json else show_problem_body(answer))


def _show(answer: dict[str, Any]) -> None:
    from rich.console import Console  # heavy, only a person at a terminal needs the table
    from rich.table import Table  # as the line above

    table = Table(show_edge=False, header_style="bold")
    for column in answer["columns"]:
        numeric = column["type"] in ("integer", "decimal", "double", "BIGINT", "HUGEINT", "DOUBLE")
        table.add_column(column["name"], justify="right" if numeric else "left")
    for row in answer["rows"]:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    Console().print(table)
    say(T("{rows} rows; every member's table was read under an agreement:"), rows=len(answer["rows"]))
    for source in answer.get("sources", []):
        say(
            T("  {table}: agreement {agreement}, record {record}"),
            table=source["table"],
            agreement=source.get("agreement") or "—",
            record=str(source.get("record") or "")[:16],
        )
