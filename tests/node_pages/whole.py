"""The whole public listener of the small country's national node, as it is composed for real, with its sandbox."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psycopg
from starlette.applications import Starlette
from starlette.routing import Route

from lienthong.catalog.publish import PublishRequest
from lienthong.catalog.publish import publish as publish_service
from lienthong.directory.models import ServiceId
from lienthong.exchange.listen import serve_app
from lienthong.node.jobs import ALL_OPERATIONS
from lienthong.node.supervise import sandbox_socket
from lienthong.node.web import PublicWeb
from lienthong.portal.deeds import Deed
from lienthong.portal.doing import deed_at
from lienthong.tables.sandbox import Keeper
from tests.node_pages.country import Site
from tests.use.nodes import free_port


@dataclass
class Portal:
    """A served portal: its address and its application."""

    url: str
    app: Starlette

    @property
    def deeds(self) -> tuple[Deed[Any], ...]:
        """Everything that can be done here."""
        found = [deed_at(route) for route in self.app.routes if isinstance(route, Route)]
        return tuple(deed for deed in found if deed)


@contextlib.asynccontextmanager
async def open_portal(site: Site) -> AsyncIterator[Portal]:
    """Everything ``site`` shows to the public."""
    keeper = Keeper(sandbox_socket(site.local.settings), ALL_OPERATIONS)
    await keeper.start()
    web = PublicWeb(site.local)
    await web.start()
    port = free_port()
    listener = await serve_app(web.app, "127.0.0.1", port)
    try:
        yield Portal(f"http://127.0.0.1:{port}", web.app)
    finally:
        await listener.stop(1.0)
        await web.stop()
        await keeper.close()


UNIT = ServiceId("VN/ORG/NDC/danhmuc/unit")
UNITS = """
CREATE TABLE IF NOT EXISTS unit (code text PRIMARY KEY, name text NOT NULL, level text NOT NULL);
INSERT INTO unit VALUES ('31', 'Hải Phòng', 'province'), ('11', 'Điện Biên', 'province'), ('00001', '=1+1', 'commune')
    ON CONFLICT DO NOTHING;
"""


async def publish_units(site: Site) -> None:
    """Publish an open table of administrative units at ``site``."""
    with psycopg.connect(site.local.dsns.owner, autocommit=True) as source:
        source.execute(UNITS)
    async with site.local.pool.connection() as db:
        await publish_service(
            db,
            PublishRequest(
                service=UNIT, source=f"{site.local.dsns.owner}#public.unit", title_vi="Đơn vị hành chính",
                title_en="Administrative units", sharing="open", lookup=("level",), legal_basis="19/2025/QĐ-TTg",
            ),
        )  # fmt: skip
