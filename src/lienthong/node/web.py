"""The web process: the public listener with pages, log, directory, shared tables and health."""

from __future__ import annotations

import asyncio

import structlog
from fastapi import FastAPI

from lienthong.access.http import log_routes
from lienthong.config import Settings
from lienthong.exchange.guard import RequestLimits
from lienthong.exchange.listen import Listener, serve_app
from lienthong.node.local import open_local
from lienthong.node.pages import NodePages
from lienthong.node.public import public_routes
from lienthong.node.taking import Taking
from lienthong.portal.app import create_portal, error_page
from lienthong.web import install

log = structlog.get_logger("lienthong.public")


async def start_web(settings: Settings) -> tuple[Listener, list[object]]:
    """Open the public listener; the second value is closed when it ends."""
    local = await open_local(settings, connections=6)
    pages = NodePages(local)
    taking = Taking(local)
    await taking.start()
    app = FastAPI(title="Liên Thông", docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json")
    app.router.routes += [
        *public_routes(local),
        *log_routes(local.pool, local.files, local.receipts),
        *taking.routes(),
        *create_portal(pages),
    ]
    install(app, error_page=error_page)
    listener = await serve_app(
        app, settings.public_host, settings.public_port, limits=RequestLimits(max_body=1024 * 1024)
    )
    log.info("web.serving", port=listener.port)
    return listener, [local, taking, pages]


async def run_web(settings: Settings, stopping: asyncio.Event) -> None:
    """Serve until ``stopping`` is set, then let requests under way finish."""
    listener, _ = await start_web(settings)
    await stopping.wait()
    await listener.stop(25.0)
