"""``lienthong restore``: a node made again from a backup; later, the end of its recovery mode."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lienthong.cli.terminal import NodeUnreachable, run, say
from lienthong.config import DEFAULT_CONFIG, load_settings
from lienthong.i18n import T
from lienthong.operate.restore import confirm as confirm_checkpoint
from lienthong.operate.restore import restore as restore_node
from lienthong.operate.restore import unpack_config
from lienthong.operate.sealed import read_key

app = typer.Typer(add_completion=False)


@app.command()
def restore(
    archive: Annotated[Path | None, typer.Argument(help="The backup.", exists=True, dir_okay=False)] = None,
    key_file: Annotated[Path | None, typer.Option("--key-file", envvar="LIENTHONG_BACKUP_KEY")] = None,
    confirm: Annotated[
        str | None, typer.Option("--confirm", help="File or address of a checkpoint kept outside: end recovery mode.")
    ] = None,
    only_config: Annotated[bool, typer.Option("--only-config", help="Write the configuration and stop.")] = False,
    config: Annotated[Path, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")] = DEFAULT_CONFIG,
) -> None:
    """Restore a backup into an empty data folder and database; then end recovery mode with an outside checkpoint.

    lienthong restore nut-g01-20261122T080000Z.lienthong --key-file backup.key
    lienthong restore --confirm https://witness.example.vn/kept/nut-g01
    """
    if confirm is not None:
        size = run(confirm_checkpoint(load_settings(config), _checkpoint_at(confirm)))
        say(T("The log of {size} records leads to the checkpoint shown: recovery mode has ended."), size=size)
        return
    if archive is None or key_file is None:
        raise typer.BadParameter("BACKUP --key-file FILE, or --confirm CHECKPOINT")
    key = read_key(key_file)
    if only_config or not config.exists():
        unpack_config(archive, key, config)
        say(T("The configuration of the backup is in {file}."), file=config)
        if only_config:
            return
    restored = restore_node(load_settings(config), archive, key, now=datetime.now(UTC).replace(microsecond=0))
    say(T("Restored: {node} as of {when}, a log of {size} records."), node=restored.manifest.node,
        when=restored.manifest.made_at, size=restored.manifest.log_size)  # fmt: skip
    say(T("The node signs nothing until a checkpoint kept outside is shown: lienthong restore --confirm FILE_OR_URL"))


def _checkpoint_at(place: str) -> bytes:
    """The note in a file, at an address, or on standard input (``-``)."""
    if place == "-":
        return sys.stdin.buffer.read()
    if not place.startswith(("http://", "https://")):
        return Path(place).read_bytes()
    try:
        with urllib.request.urlopen(place, timeout=30) as answer:  # noqa: S310 - http(s) only, named by the operator
            return answer.read(64 * 1024)
    except (urllib.error.URLError, OSError) as failed:
        raise NodeUnreachable(
            T("{url} does not answer: {why}"),
            mend=T("Check the address, and that the node runs: lienthong serve, or lienthong demo."),
            url=place,
            why=str(failed),
        ) from failed
