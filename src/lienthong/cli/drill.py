"""``lienthong drill``: lose a part of the demo on purpose; or rehearse a restore and sign what came of it."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lienthong.cli.terminal import NodeUnreachable, say, show_json
from lienthong.cli.where import demo_country, settings_for
from lienthong.config import CONFIG_VARIABLE, DEFAULT_CONFIG
from lienthong.i18n import T
from lienthong.node.rehearsed import keep_result
from lienthong.operate.drill import as_markdown, read_country
from lienthong.operate.drill import drill as run_drill
from lienthong.operate.losses import LOSSES
from lienthong.operate.rehearse import last_published, rehearse, signed
from lienthong.verify import verify_log

app = typer.Typer(add_completion=False)


@app.command()
def drill(
    what: Annotated[str | None, typer.Argument(help="restore: rehearse a restore of this node.")] = None,
    lose: Annotated[str | None, typer.Option("--lose", help="|".join(LOSSES))] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=2.0, max=600.0, help="How long it is away.")] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    member: Annotated[str | None, typer.Option("--member", help="With restore: which of the demo's nodes.")] = None,
    checkpoint: Annotated[Path | None, typer.Option("--checkpoint", help="With restore: one kept outside.")] = None,
    out: Annotated[Path, typer.Option("--out", help="With restore: the signed result.")] = Path("drill-restore.json"),
    config: Annotated[Path | None, typer.Option("--config", envvar=CONFIG_VARIABLE, help="TOML file.")] = None,
) -> None:
    """Take a part of the running demo away for a while and tell what went on; or rehearse a restore.

    lienthong drill --lose national
    lienthong drill restore --member G01
    """
    if what == "restore":
        raise typer.Exit(_rehearse(member, config, checkpoint, out))
    if what is not None or lose not in LOSSES:
        raise typer.BadParameter(f"restore, --lose {'|'.join(LOSSES)}")
    report = run_drill(read_country(demo_country() or {}), lose, seconds=seconds)
    if as_json:
        show_json(report.as_dict())
    else:
        print(as_markdown(report))
    raise typer.Exit(0 if report.recovered else 1)


def _rehearse(member: str | None, config: Path | None, checkpoint: Path | None, out: Path) -> int:
    settings = settings_for(member, config)
    place = config or (DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else settings.data.parent / f"{settings.node}.toml")
    note = checkpoint.read_bytes() if checkpoint else _published(f"{settings.public_url}/log")
    now = datetime.now(UTC).replace(microsecond=0)
    found = rehearse(settings, place, note, lambda folder, key: verify_log(folder, key=key).ok, now=now)
    envelope = signed(found, settings)
    out.write_bytes(envelope)
    keep_result(settings, envelope, passed=found.passed)
    if found.passed:
        say(T("Passed: {size} records and {rows} rows restored in {seconds} s; the log leads to the checkpoint shown."),
            size=found.restored_size, rows=found.rows, seconds=round(found.backup_s + found.restore_s, 1))  # fmt: skip
    else:
        say(T("Failed: {problem}; log verified: {verified}, checkpoint reached: {confirmed}."),
            problem=found.problem or "-", verified=found.log_verified, confirmed=found.confirmed)  # fmt: skip
    say(T("The signed result is in {file}."), file=out)
    return 0 if found.passed else 1


def _published(url: str) -> bytes:
    """The newest checkpoint of the log at ``url``, over all of its shards."""

    def read(path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(f"{url}/{path}", timeout=30) as answer:  # noqa: S310 - the node's own configured address
                return answer.read(64 * 1024)
        except urllib.error.HTTPError as refused:
            refused.close()
            if refused.code != 404:
                raise
            return None

    try:
        found, why = last_published(read), "404"
    except (urllib.error.URLError, OSError) as failed:
        found, why = None, str(failed)
    if found is None:
        raise NodeUnreachable(
            T("{url} does not answer: {why}"),
            mend=T("Check the address, and that the node runs: lienthong serve, or lienthong demo."),
            url=f"{url}/checkpoint",
            why=why,
        )
    return found
