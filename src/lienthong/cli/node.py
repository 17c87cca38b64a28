"""``lienthong node``: prepare a node and show what the national node must know of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lienthong.cli.where import settings_for
from lienthong.node.prepare import identity_json, identity_of
from lienthong.storage.keyring import open_keyring

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Prepare a node.")


@app.callback()
def node() -> None:
    """Prepare a node."""


@app.command()
def identity(
    config: Annotated[Path | None, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")] = None,
) -> None:
    """Make keys and certificate where missing; print what to send to the national node (public things only).

    lienthong node identity --config /etc/lienthong/lienthong.toml > nut.json
    """
    settings = settings_for(None, config)
    print(identity_json(identity_of(settings, open_keyring(settings))))
