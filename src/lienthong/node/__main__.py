"""``python -m lienthong.node ROLE --config FILE``: one process of a node, started by the supervisor."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import structlog
import uvloop

from lienthong.config import load_settings

ROLES: Final = {"gateway": "lienthong.node.gateway", "web": "lienthong.node.web", "jobs": "lienthong.node.jobs"}


def configure_log(node: str, role: str) -> None:
    """JSON lines on standard error: an event with fields, no bodies, no personal data."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping().get(os.environ.get("LIENTHONG_LOG", "WARNING"), logging.WARNING)
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(node=node, role=role)


async def run(role: str, config: Path) -> None:
    """Run one role until SIGTERM or the parent's end."""
    settings = load_settings(config)
    configure_log(settings.node, role)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    watcher = asyncio.create_task(_watch_parent(stopping))
    # Only what this role needs: the gateway must not carry the web's or the engines' weight.
    module: Any = importlib.import_module(ROLES[role])
    await getattr(module, f"run_{role}")(settings, stopping)
    watcher.cancel()


async def _watch_parent(stopping: asyncio.Event) -> None:
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - the kernel tells only by the number
        await asyncio.sleep(1.0)
    stopping.set()


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="lienthong.node")
    parser.add_argument("role", choices=sorted(ROLES))
    parser.add_argument("--config", type=Path, required=True)
    chosen = parser.parse_args()
    uvloop.run(run(chosen.role, chosen.config))


if __name__ == "__main__":
    main()
