"""Which node a command talks to: named by option or environment, else the demo running on this machine."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lienthong.config import CONFIG_VARIABLE, DEFAULT_CONFIG, Settings, load_settings
from lienthong.errors import Problem, Side
from lienthong.i18n import T

NODE_VARIABLE = "LIENTHONG_NODE"
CLIENT_VARIABLE = "LIENTHONG_CLIENT"
DEMO_VARIABLE = "LIENTHONG_DEMO"
DEMO_FILE = "demo.json"


class WhichNode(Problem):
    """Neither an option, the environment nor a running demo says which node is meant."""

    kind: ClassVar[str] = "which-node"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("Which node?")


@dataclass(frozen=True, slots=True)
class Asker:
    """A system and the client listener it asks."""

    url: str
    client: str


def demo_folder() -> Path:
    """Where the demo keeps its country: ``$LIENTHONG_DEMO``, else a folder of the account."""
    if DEMO_VARIABLE in os.environ:
        return Path(os.environ[DEMO_VARIABLE])
    if os.geteuid() == 0:
        return Path("/var/lib/lienthong/demo")
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "lienthong" / "demo"


def demo_country() -> dict[str, Any] | None:
    """The running demo's ``demo.json``, or None."""
    path = demo_folder() / DEMO_FILE
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def asker(url: str | None, client: str | None) -> Asker:
    """Node and system for a question: options, then the environment, then the demo's analyst."""
    country = demo_country()
    analyst = country["analyst"] if country else {}
    chosen = Asker(
        url or os.environ.get(NODE_VARIABLE) or analyst.get("client_url", ""),
        client or os.environ.get(CLIENT_VARIABLE) or analyst.get("client", ""),
    )
    if not chosen.url or not chosen.client:
        raise WhichNode(
            T("The command does not know which node and system to use."),
            mend=T("Name them with --node and --client, or set LIENTHONG_NODE and LIENTHONG_CLIENT."),
        )
    return chosen


def settings_for(member: str | None = None, config: Path | None = None) -> Settings:
    """Settings of this machine's node; of several demo nodes the one that acts for ``member`` (code or id)."""
    if config or CONFIG_VARIABLE in os.environ or DEFAULT_CONFIG.exists():
        return load_settings(config)
    country = demo_country()
    for node in country["nodes"] if country else []:
        if member is None or any(member in (m, m.rsplit("/", 1)[1]) for m in node["members"]):
            return load_settings(Path(node["config"]))
    raise WhichNode(
        T("No node on this machine acts for {member}."),
        mend=T("Name its configuration with --config or LIENTHONG_CONFIG, or start the demo: lienthong demo"),
        member=member or "?",
    )
