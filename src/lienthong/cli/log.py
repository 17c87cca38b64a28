"""``lienthong log``: copy any log, and check this node's own against its database and what was signed elsewhere."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated

import typer

from lienthong import verify as verifier
from lienthong.access.mirror import mirror as copy_log
from lienthong.access.queries import kept_notes, placed_records
from lienthong.cli.terminal import say
from lienthong.config import DEFAULT_CONFIG, load_settings
from lienthong.i18n import T
from lienthong.node.prepare import identity_of
from lienthong.node.supervise import read_dsns
from lienthong.storage.keyring import open_keyring
from lienthong.storage.objects import ObjectStore
from lienthong.trust.tiles import ReadPath

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Copy a log; check this node's own.")
PATIENCE_S = 30
MOST_BYTES = 20_000_000


@app.command()
def mirror(
    source: Annotated[str, typer.Argument(metavar="URL_OR_DIR", help="Where the log is.")],
    folder: Annotated[Path, typer.Argument(help="Folder of the copy; made when missing.")],
    key: Annotated[str | None, typer.Option("--key", help="The log's verifier key, as you know it.")] = None,
) -> None:
    """Copy a log, or continue a copy; a log that contradicts its copy is refused and convicted.

    lienthong log mirror http://127.0.0.1:8080/log /srv/mirror/nut-tw
    """
    done = copy_log(_reader(source), ObjectStore(folder), key)
    say(T("{origin}: {size} records in {folder}, {fetched} files fetched. Check them: lienthong verify log {folder}"),
        origin=done.origin, size=done.size, folder=folder, fetched=done.fetched)  # fmt: skip


@app.command()
def fsck(
    heads: Annotated[
        list[Path] | None, typer.Option("--head", help="Checkpoint of this log that was kept elsewhere; may repeat.")
    ] = None,
    config: Annotated[Path, typer.Option("--config", envvar="LIENTHONG_CONFIG", help="TOML file.")] = DEFAULT_CONFIG,
) -> None:
    """Recompute this node's whole log and compare database, files and signed checkpoints, by the separate verifier.

    lienthong log fsck --head witnessed-checkpoint.txt
    """
    settings = load_settings(config)
    dsn = read_dsns(settings).app
    known = [note.decode() for note in kept_notes(dsn)] + [path.read_text("utf-8") for path in heads or []]
    report = verifier.verify_log(
        str(settings.data / "log"),
        key=identity_of(settings, open_keyring(settings)).log_key,
        heads=known,
        rows=placed_records(dsn),
    )
    print(verifier.render(report))
    sys.exit(0 if report.ok else 1)


def _reader(source: str) -> ReadPath:
    """The files under an address or a folder."""
    if not source.startswith(("http://", "https://")):
        return ObjectStore(Path(source)).get

    def read(path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(f"{source.rstrip('/')}/{path}", timeout=PATIENCE_S) as answer:  # noqa: S310 - above
                return answer.read(MOST_BYTES)
        except urllib.error.HTTPError as refused:
            refused.close()
            return None

    return read
