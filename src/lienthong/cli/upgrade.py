"""``lienthong upgrade``: bring the node's data to this release."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lienthong.cli.terminal import say
from lienthong.config import DEFAULT_CONFIG, load_settings
from lienthong.i18n import T
from lienthong.operate.sealed import read_key
from lienthong.operate.units import BACKUPS
from lienthong.operate.upgrade import preflight
from lienthong.operate.upgrade import upgrade as upgrade_node

app = typer.Typer(add_completion=False)


@app.command()
def upgrade(
    check: Annotated[bool, typer.Option("--check", help="Look at everything, change nothing.")] = False,
    key_file: Annotated[Path | None, typer.Option("--key-file", envvar="LIENTHONG_BACKUP_KEY")] = None,
    backups: Annotated[Path, typer.Option("--backups", help="Folder of the backup made first.")] = Path("/") / BACKUPS,
    config: Annotated[Path, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")] = DEFAULT_CONFIG,
) -> None:
    """Check, back up and migrate, while the node serves; then restart it with this release.

    lienthong upgrade --key-file /etc/lienthong/backup.key
    """
    settings = load_settings(config)
    if check:
        found = preflight(settings, backups)
        say(T("Ready: the schema is {found}; {count} revisions will run: {missing}"), found=found.found,
            count=len(found.missing), missing=", ".join(found.missing) or "-")  # fmt: skip
        return
    if key_file is None:
        raise typer.BadParameter("--key-file")
    now = datetime.now(UTC).replace(microsecond=0)
    found, manifest = upgrade_node(settings, config, backups, read_key(key_file), now=now)
    say(T("Upgraded to {program}: {count} revisions after a backup of {rows} rows in {folder}."),
        program=found.program, count=len(found.missing), rows=sum(table.rows for table in manifest.tables),
        folder=backups)  # fmt: skip
