"""``lienthong support-bundle``: one file for those who help, without anything about persons."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lienthong.cli.terminal import say
from lienthong.config import DEFAULT_CONFIG, load_settings
from lienthong.i18n import T
from lienthong.operate.support import support_bundle as make_bundle

app = typer.Typer(add_completion=False)


@app.command()
def support_bundle(
    out: Annotated[Path | None, typer.Option("--out", help="File to write; else a dated one here.")] = None,
    log: Annotated[list[Path] | None, typer.Option("--log", help="Log file of the node; may be repeated.")] = None,
    config: Annotated[Path, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")] = DEFAULT_CONFIG,
) -> None:
    """Gather versions, settings without secrets, counts and reduced log lines; no personal data.

    lienthong support-bundle --log /var/log/lienthong.log
    """
    settings, now = load_settings(config), datetime.now(UTC).replace(microsecond=0)
    target = out or Path.cwd() / f"{settings.node}-support-{now:%Y%m%dT%H%M%SZ}.tar.gz"
    names = make_bundle(settings, target, logs=log or (), now=now)
    say(T("Written: {file} ({names}).  Look into it before you send it."), file=target, names=", ".join(names))
