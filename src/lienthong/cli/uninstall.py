"""``lienthong uninstall``: take the service away; data stay unless told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lienthong.cli.terminal import say
from lienthong.i18n import T
from lienthong.operate.install import uninstall as uninstall_service
from lienthong.operate.units import BACKUPS, CONFIG, DATA

app = typer.Typer(add_completion=False)


@app.command()
def uninstall(
    root: Annotated[Path, typer.Option("--root", help="As given to install.")] = Path("/"),
    with_data: Annotated[
        bool, typer.Option("--with-data", help="Remove configuration, keys, data and backups too, for ever.")
    ] = False,
) -> None:
    """Stop the service and remove its files; configuration, data and backups stay.

    lienthong uninstall
    """
    for path in uninstall_service(root.absolute(), with_data=with_data):
        say(T("removed  {path}"), path=path)
    if not with_data:
        say(T("kept     {path}"), path=f"/{CONFIG} /{DATA} /{BACKUPS}")
