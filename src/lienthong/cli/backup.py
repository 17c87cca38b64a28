"""``lienthong backup``: everything a node needs to live again, in one sealed file, while it serves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lienthong.cli.terminal import say, show_json
from lienthong.config import DEFAULT_CONFIG, load_settings
from lienthong.i18n import T
from lienthong.operate.backup import back_up, manifest_path
from lienthong.operate.sealed import make_key, read_key

app = typer.Typer(add_completion=False)


@app.command()
def backup(
    out: Annotated[Path | None, typer.Option("--out", help="File or folder; else a dated file here.")] = None,
    key_file: Annotated[Path | None, typer.Option("--key-file", envvar="LIENTHONG_BACKUP_KEY")] = None,
    new_key: Annotated[Path | None, typer.Option("--new-key", help="Make a key file and do nothing else.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest.")] = False,
    config: Annotated[Path, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")] = DEFAULT_CONFIG,
) -> None:
    """Back up database, keys, log and files; keep the key file elsewhere, without it nothing can be restored.

    lienthong backup --out /var/backups/lienthong --key-file /etc/lienthong/backup.key
    """
    if new_key is not None:
        make_key(new_key)
        say(T("The key is in {file}: copy it to a safe place away from this machine."), file=new_key)
        return
    if key_file is None:
        raise typer.BadParameter("--key-file")
    settings, now = load_settings(config), datetime.now(UTC).replace(microsecond=0)
    target = out or Path.cwd()
    if target.is_dir():
        target /= f"{settings.node}-{now:%Y%m%dT%H%M%SZ}.lienthong"
    manifest = back_up(settings, config, target, read_key(key_file), now=now)
    if as_json:
        show_json(manifest.as_dict() | {"file": str(target)})
    else:
        say(T("Written: {file}, with {rows} rows, {files} files and a log of {size} records; its manifest: {manifest}"),
            file=target, rows=sum(table.rows for table in manifest.tables), files=len(manifest.files),
            size=manifest.log_size, manifest=manifest_path(target))  # fmt: skip
