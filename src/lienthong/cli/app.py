"""The ``lienthong`` command: a table of subcommands, each imported only when it is run."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from lienthong import __version__
from lienthong.errors import Problem

COMMANDS: Final = {
    "demo": "Start a small country on this machine: five nodes, real TLS, synthetic people.",
    "serve": "Run this organisation's node.",
    "node": "Prepare a node and show what the directory must know of it.",
    "directory": "On the national node: admit members, nodes, systems and purposes.",
    "case": "Open, answer and settle requests, disputes and reports, with their legal clocks.",
    "api": "List what a node's API can do, and do it with a token.",
    "account": "Add the persons who work with this node, their roles and one-time links.",
    "publish": "Publish a PostgreSQL table, a CSV or a Parquet file as a service.",
    "agreement": "Request, approve, refuse and list agreements.",
    "call": "Call a service of another member through your node.",
    "share": "Take a shared table: get a Delta Sharing profile under an agreement.",
    "query": "Ask one SQL question over tables of several members.",
    "events": "Follow the changes of another member's table.",
    "copies": "Compare tables copied from other members with their sources.",
    "address": "Say which commune an address lies in, old or new, in any spelling.",
    "id": "Say what a code is (person, firm, parcel, dossier, unit, telephone, plate) and whether it holds.",
    "link": "Find which records of several tables mean one person, and say why.",
    "rekey": "Carry a table of figures from the units of one day to those of another.",
    "install": "Make the node a hardened service of this machine.",
    "uninstall": "Take the service away; data stay unless told.",
    "upgrade": "Bring the node's data to this release: check, back up, migrate.",
    "support-bundle": "Gather what those who help need to see, without personal data.",
    "backup": "Back up everything a node needs to live again, while it serves.",
    "drill": "Lose a part of the demo on purpose and see what goes on; rehearse a restore.",
    "log": "Copy a log; check this node's own log against its database and outside checkpoints.",
    "restore": "Restore a backup on an empty server; end recovery mode with an outside checkpoint.",
    "doctor": "Say what is wrong with this node and what mends it.",
    "verify": "Check receipts and logs, offline, trusting nobody.",
}


class Commands(TyperGroup):
    """Loads ``lienthong.cli.<name>`` on use, so that ``--help`` stays quick."""

    def list_commands(self, ctx: Any) -> list[str]:  # Any, here and below: typer keeps its own copy of click
        """Names in the order people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        """A stand-in with the one-line help; the real command is loaded when it is run."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name], short_help=COMMANDS[cmd_name])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The real command for the first argument."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        if name not in COMMANDS:
            return name, stand_in, rest
        place = f"lienthong.cli.{name.replace('-', '_')}"
        module: Any = importlib.import_module(place)  # Any: each command module has its `app`
        command = typer.main.get_command(module.app)
        command.name = name
        return name, command, rest


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Liên Thông: one agreement, three ways to use the data, and every use leaves a receipt.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"lienthong {__version__}")
        raise typer.Exit


@app.callback()
def lienthong(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Liên Thông: one agreement, three ways to use the data, and every use leaves a receipt."""


def main() -> None:
    """Run a command; a Problem is printed in words and decides the exit status."""
    try:
        app()
    except Problem as problem:
        from lienthong.cli.terminal import show_problem  # licence: words and colours are loaded only to fail

        sys.exit(show_problem(problem))
