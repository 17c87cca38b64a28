"""``lienthong serve``: run this organisation's node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lienthong.config import DEFAULT_CONFIG, load_settings
from lienthong.node.supervise import Supervisor

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    config: Annotated[Path, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")] = DEFAULT_CONFIG,
) -> None:
    """Run this organisation's node until SIGTERM or Ctrl-C.

    lienthong serve --config /etc/lienthong/lienthong.toml
    """
    raise typer.Exit(Supervisor(load_settings(config), config.resolve()).run())
