"""``lienthong call``: call a service of another member through your own node."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from lienthong.cli.terminal import ask, note, show_json, show_problem_body
from lienthong.i18n import T

app = typer.Typer(add_completion=False)
RECEIPT_WAIT_S = 15.0
COSIGNED_WAIT_S = 3.0
"""How long a receipt with a proof may wait for its witnesses."""


@app.command()
def call(
    service_path: Annotated[str, typer.Argument(help="VN/GOV/G01/dancu/citizen, with ?column=value where allowed.")],
    node: Annotated[str, typer.Option("--node", envvar="LIENTHONG_NODE", help="Your node's client listener.")],
    client: Annotated[str, typer.Option("--client", envvar="LIENTHONG_CLIENT", help="Your system's id.")],
    data: Annotated[str | None, typer.Option("--data", help="JSON body; the call is then a POST.")] = None,
    purpose: Annotated[str | None, typer.Option("--purpose", help="Code of the registered purpose.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print status, headers and body as JSON.")] = False,
    receipt: Annotated[Path | None, typer.Option("--receipt", help="Wait for the receipt and write it here.")] = None,
) -> None:
    """Call a service of another member through your node.

    lienthong call --node http://127.0.0.1:8081 --client VN/GOV/H24/motcua VN/GOV/G01/dancu/citizen --data '{...}'
    """
    headers = {"X-Road-Client": quote(client, safe="/"), "Accept": "application/json"}
    if purpose:
        headers["Lienthong-Purpose"] = purpose
    if data is not None:
        headers["Content-Type"] = "application/json"
    status, answered, body = ask(
        node, "GET" if data is None else "POST", f"/r1/{service_path}", body=(data or "").encode(), headers=headers
    )
    record = answered.get("lienthong-record")
    if receipt and record:
        save_receipt(node, client, record, receipt)
    if as_json:
        show_json({"status": status, "record": record, "headers": dict(answered), "body": readable(body)})
    elif status < 400:
        print(body.decode("utf-8", "replace"))
        if record:
            note(T("Record: {record}"), record=record)
    if status >= 400:
        detail = readable(body)
        raise typer.Exit(
            1 if as_json else show_problem_body(detail if isinstance(detail, dict) else {"detail": detail})
        )


def save_receipt(node: str, client: str, record: str, path: Path) -> None:
    """Wait until the log covers ``record``, a moment longer for its witnesses, and write the receipt."""
    until, covered = time.monotonic() + RECEIPT_WAIT_S, False
    while True:
        status, _, body = ask(node, "GET", f"/log/receipt/{record}", headers={"X-Road-Client": quote(client, safe="/")})
        told = json.loads(body) if status == 200 else {}
        if told.get("proof") and not covered:
            covered, until = True, min(until, time.monotonic() + COSIGNED_WAIT_S)
        if (covered and is_cosigned(told)) or time.monotonic() > until:
            break
        time.sleep(0.1)
    if status != 200:
        raise typer.Exit(show_problem_body(json.loads(body)))
    path.write_bytes(body)
    note(T("Receipt written to {file}; check it with: lienthong verify receipt {file}"), file=str(path))


def is_cosigned(receipt: Mapping[str, Any]) -> bool:
    """Whether as many witnesses cosigned as the receipt says are wanted."""
    stated = receipt.get("witnesses") or {}
    return len(stated.get("cosigned", ())) >= int(stated.get("threshold", 0))


def readable(body: bytes) -> object:
    """JSON when it is JSON, else text."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
