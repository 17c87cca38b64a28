"""``lienthong events``: follow the changes of another member's table, and read what arrived."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from lienthong.cli.terminal import ask, say, show_json, show_problem_body
from lienthong.cli.where import asker
from lienthong.i18n import T

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Follow the changes of another member's table.")

Node = Annotated[str | None, typer.Option("--node", envvar="LIENTHONG_NODE", help="Client listener.")]
Client = Annotated[str | None, typer.Option("--client", envvar="LIENTHONG_CLIENT", help="Your system.")]


@app.callback()
def events() -> None:
    """Follow the changes of another member's table."""


@app.command()
def subscribe(
    service: Annotated[str, typer.Argument(help="Service id of the table.")],
    purpose: Annotated[str | None, typer.Option("--purpose", help="Code of the registered purpose.")] = None,
    node: Node = None,
    client: Client = None,
) -> None:
    """Begin to follow a table, under an agreement that allows events.

    lienthong events subscribe VN/GOV/G01/dancu/citizen --purpose HP-01
    """
    asked = {"service": service} | ({"purpose": purpose} if purpose else {})
    answer = _ask(node, client, "POST", "/events", json.dumps(asked).encode())
    say(T("Subscription {id}: events arrive from now on."), id=answer["id"])
    if answer["bulk"]:
        say(T("The table is large: take it whole first (lienthong share profile), events tell what changes."))


@app.command("list")
def list_(node: Node = None, client: Client = None) -> None:
    """List your system's subscriptions and how they stand."""
    for known in _ask(node, client, "GET", "/events")["subscriptions"]:
        shown = (known["id"], known["service"], known["sequence"], known["state"], known["reason"] or "")
        print("  ".join(str(part) for part in shown).rstrip())


@app.command()
def read(
    subscription: Annotated[str, typer.Argument(help="Id of the subscription.")],
    after: Annotated[int, typer.Option("--after", help="Go on after this number (the last answer's next).")] = 0,
    limit: Annotated[int, typer.Option("--limit", help="At most so many events.")] = 100,
    node: Node = None,
    client: Client = None,
) -> None:
    """Print what arrived, as CloudEvents in JSON, and the number to go on from."""
    show_json(_ask(node, client, "GET", f"/events/{quote(subscription, safe='')}?after={after}&limit={limit}"))


@app.command()
def push(
    subscription: Annotated[str, typer.Argument(help="Id of the subscription.")],
    url: Annotated[str | None, typer.Argument(help="Address that takes events.")] = None,
    token_file: Annotated[Path | None, typer.Option("--token-file", help="File with the token to send.")] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Push no more.")] = False,
    node: Node = None,
    client: Client = None,
) -> None:
    """Have what arrives pushed to your system's address, in order and until it is taken.

    lienthong events push ID https://motcua.haiphong.gov.vn/events --token-file token.txt
    """
    if (url is None) is not stop:
        raise typer.BadParameter("URL | --stop")
    asked: dict[str, str | None] = {"url": url}
    if token_file is not None:
        asked["token"] = token_file.read_text("ascii").strip()
    answer = _ask(node, client, "POST", f"/events/{quote(subscription, safe='')}/push", json.dumps(asked).encode())
    show_json(answer)


def _ask(node: str | None, client: str | None, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
    """The node's answer; ends the command when it is a refusal."""
    chosen = asker(node, client)
    headers = {"X-Road-Client": quote(chosen.client, safe="/"), "Content-Type": "application/json"}
    status, _, content = ask(chosen.url, method, path, body=body, headers=headers)
    answer: dict[str, Any] = json.loads(content)
    if status >= 400:
        raise typer.Exit(show_problem_body(answer))
    return answer
