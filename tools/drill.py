"""Every drill against a demo of its own; the report is docs/drill.md.  ``make drill``

python tools/drill.py docs/drill.md [--seconds 15] [--persons 2000]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

from lienthong import __version__
from lienthong.demo.run import Demo
from lienthong.errors import Problem
from lienthong.operate.drill import as_markdown, drill, read_country
from lienthong.operate.losses import LOSSES, Country
from lienthong.operate.rehearse import Rehearsal, rehearse
from lienthong.verify import verify_log, verify_receipt

HEAD = """\
# What goes on when a part is lost

Written by `make drill` against a demo of five nodes on one machine: a part is taken away while a city goes on calling,
querying and looking at pages, then it is given back. A stopped process is the worst kind of loss: connections are taken
and never answered. "Well again" counts from the moment the part came back. Two calls of one service wait for each other
only in the drill, never in a node.

"""
LONGER = {"disk": 45.0, "tsa": 90.0}
"""Seconds, where what is told is told late on purpose: a log that lags is degraded after 30 s, one whose checkpoints
nobody stamps after twice the interval and a minute."""


def restore_drill(country: Country) -> Rehearsal:
    """The provider backed up while it serves, restored elsewhere, compared with what its log showed before."""
    node = country.peer
    with urlopen(f"{node.public_url}/log/checkpoint", timeout=30) as answer:
        note = answer.read()
    now = datetime.now(UTC).replace(microsecond=0)
    return rehearse(node.settings, node.config, note, lambda folder, key: verify_log(folder, key=key).ok, now=now)


def told(rehearsal: Rehearsal) -> str:
    """The restore drill as a section."""
    facts = asdict(rehearsal) | {"passed": rehearsal.passed}
    del facts["checkpoint"]
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return f"## Restore into an empty server\n\n| | |\n|---|---|\n{rows}\n"


def main() -> None:
    """Start, lose everything in turn, restore, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--persons", type=int, default=2_000)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lt-drill-"))
    demo = Demo(folder, chosen.persons, 0, "en", lambda receipt: verify_receipt(receipt).ok, quiet=True, stamps=True)
    sections = [f"{HEAD}Release {__version__}, {platform.system()} with {os.cpu_count()} CPUs.\n"]
    try:
        demo.start()
        country = read_country(json.loads((folder / "demo.json").read_text("utf-8")))
        for part in LOSSES:
            try:
                sections.append(as_markdown(drill(country, part, seconds=LONGER.get(part, chosen.seconds))))
            except Problem as nothing:
                sections.append(f"## {part}\n\n{nothing}\n")
            print(sections[-1], flush=True)
        sections.append(told(restore_drill(country)))
        print(sections[-1])
    finally:
        demo.stop()
        shutil.rmtree(folder, ignore_errors=True)
    chosen.out.write_text("\n".join(sections), "utf-8")


if __name__ == "__main__":
    main()
