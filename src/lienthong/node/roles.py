"""The processes of a node by name, and how one of them runs in this process until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import sys
from typing import Any, Final, TextIO, cast

import structlog
import uvloop

from lienthong.config import Settings

ROLES: Final = {"gateway": "lienthong.node.gateway", "web": "lienthong.node.web", "jobs": "lienthong.node.jobs"}
"""Role to the module that has ``run_<role>(settings, stopping)``, in the order of their start."""


def run_role(role: str, settings: Settings) -> int:
    """Run one role until SIGTERM or SIGINT; returns the exit status."""
    configure_log(settings.node, role)
    uvloop.run(_run(role, settings))
    return 0


async def _run(role: str, settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # Only what this role needs: the gateway must not carry the web's or the engines' weight.
    module: Any = importlib.import_module(ROLES[role])
    await getattr(module, f"run_{role}")(settings, stopping)


class NeverFails:
    """A text stream whose writing may fail (a full disk, a closed pipe) without failing whoever tells something.

    A job that fails because the disk is full must be able to say so, and to try again when it can not.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


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
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", NeverFails(sys.stderr))),
    )
    structlog.contextvars.bind_contextvars(node=node, role=role)
