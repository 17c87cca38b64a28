"""``lienthong install``: make the node a service of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lienthong.cli.terminal import say
from lienthong.i18n import T
from lienthong.operate.install import install as install_service
from lienthong.operate.units import CONFIG

app = typer.Typer(add_completion=False)


@app.command()
def install(
    root: Annotated[Path, typer.Option("--root", help="Put the files below this folder, to look at them.")] = Path("/"),
) -> None:
    """Write hardened systemd units, the account and the folders, and a first configuration.

    lienthong install
    """
    done = install_service(root.absolute())
    for path in done.written:
        say(T("written  {path}"), path=path)
    for path in done.kept:
        say(T("kept     {path}"), path=path)
    for command in done.left_to_do:
        say(T("to do    {command}"), command=command)
    say(T("Next: edit {config}, then: systemctl enable --now lienthong lienthong-backup.timer"), config=f"/{CONFIG}")
