"""``lienthong verify``: check receipts and logs with the separate verifier, offline."""

from __future__ import annotations

import sys

import typer

from lienthong import verify as verifier

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Check receipts and logs, offline, trusting nobody.")
REST = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=REST)
def receipt(ctx: typer.Context) -> None:
    """Check one receipt file: record, both signatures, place in the log.

    lienthong verify receipt receipt.json
    """
    sys.exit(verifier.main(["receipt", *ctx.args]))


@app.command(context_settings=REST)
def log(ctx: typer.Context) -> None:
    """Check a whole log from a folder or an address.

    lienthong verify log http://127.0.0.1:8080/log
    """
    sys.exit(verifier.main(["log", *ctx.args]))


@app.command(context_settings=REST)
def fork(ctx: typer.Context) -> None:
    """Check evidence that a log showed two histories.

    lienthong verify fork evidence.json
    """
    sys.exit(verifier.main(["fork", *ctx.args]))
