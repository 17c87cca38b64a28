"""``lienthong doctor``: what is wrong with this node, and what mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lienthong.cli.terminal import language, run, say, show_json
from lienthong.config import CONFIG_VARIABLE
from lienthong.doctor.examine import examine
from lienthong.doctor.models import Fault
from lienthong.i18n import T, translate

app = typer.Typer(add_completion=False)


@app.command()
def doctor(
    config: Annotated[Path | None, typer.Option("--config", envvar=CONFIG_VARIABLE, help="TOML file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for what is wrong with this node, whether it runs or not; change nothing.

    Status 0: nothing is wrong; 1: something should be looked at; 2: something fails until it is mended.

    lienthong doctor --config /etc/lienthong/lienthong.toml
    """
    faults = run(examine(config))
    if as_json:
        show_json({"faults": [fault.as_dict(language()) for fault in faults]})
    else:
        _tell(faults)
    raise typer.Exit(2 if any(fault.grave for fault in faults) else 1 if faults else 0)


def _tell(faults: list[Fault]) -> None:
    for number, fault in enumerate(sorted(faults, key=lambda each: not each.grave), 1):
        mark = "✗" if fault.grave else "!"
        print(f"{mark} {number}. {translate(fault.cause, language(), **fault.facts)}  [{fault.name}]")
        print(f"     → {translate(fault.mend, language(), **fault.facts)}")
    grave = sum(fault.grave for fault in faults)
    if not faults:
        say(T("✓ Nothing is wrong with this node."))
    elif grave:
        say(T("What next: mend number 1 and look again (lienthong doctor): later faults often go with it."))
    else:
        say(T("What next: the node works; see to these before they become faults."))
