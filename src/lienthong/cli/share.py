"""``lienthong share``: take a shared table with any Delta Sharing client."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from lienthong.cli.terminal import ask, language, say, show_problem_body
from lienthong.cli.where import asker
from lienthong.i18n import T, translate

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Take a shared table under an agreement.")


@app.callback()
def share() -> None:
    """Take a shared table under an agreement."""


@app.command()
def profile(
    out: Annotated[Path, typer.Option("--out", help="File to write; only you can read it.")],
    agreement: Annotated[str | None, typer.Option("--agreement", help="Id of the agreement.")] = None,
    table: Annotated[str | None, typer.Option("--open", help="Instead: service id of open data.")] = None,
    purpose: Annotated[str | None, typer.Option("--purpose", help="Purpose, when the agreement has several.")] = None,
    node: Annotated[str | None, typer.Option("--node", envvar="LIENTHONG_NODE", help="Client listener.")] = None,
    client: Annotated[str | None, typer.Option("--client", envvar="LIENTHONG_CLIENT", help="Your system.")] = None,
) -> None:
    """Get a Delta Sharing profile: one system, one agreement, one purpose; open data needs no agreement.

    lienthong share profile --agreement urn:uuid:... --out dancu.share
    lienthong share profile --open VN/ORG/NDC/danhmuc/unit --out unit.share
    """
    if (agreement is None) == (table is None):
        raise typer.BadParameter(translate(T("Name either --agreement or --open."), language()))
    chosen = asker(node, client)
    asked = {"agreement": agreement or f"open:{table}"} | ({"purpose": purpose} if purpose else {})
    status, _, body = ask(
        chosen.url,
        "POST",
        "/share/profile",
        body=json.dumps(asked).encode(),
        headers={"X-Road-Client": quote(chosen.client, safe="/"), "Content-Type": "application/json"},
    )
    answer = json.loads(body)
    if status >= 400:
        raise typer.Exit(show_problem_body(answer))
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(answer["profile"], file)
    say(
        T("Profile written to {file}. Read the table {table} with any Delta Sharing client:"),
        file=out,
        table=answer["table"],
    )
    print(
        f"  python -c \"import delta_sharing; print(delta_sharing.load_as_pandas('{out}#{answer['table']}').head())\""
    )
