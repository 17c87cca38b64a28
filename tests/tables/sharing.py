"""A provider's Delta Sharing door on a real port, with a gate that tests command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette

from lienthong.catalog.models import Service
from lienthong.directory.models import SystemId
from lienthong.storage.pool import open_pool
from lienthong.storage.provision import DatabaseDsns
from lienthong.tables.http import share_routes
from lienthong.tables.materialise import Materialiser, Storage
from lienthong.tables.queries import Sources
from lienthong.tables.sandbox import Sandbox
from lienthong.tables.share import AddressSigner, make_profile
from lienthong.tables.take import Taking
from lienthong.web import install
from tests.tables.gate import TestGate

CONSUMER = SystemId("VN/GOV/H24/motcua")
TABLE = "shares/g01/schemas/dancu/tables/citizen"


class Clock:
    """Time that a test may move on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Provider:
    """A running door and everything behind it."""

    url: str
    gate: TestGate
    taking: Taking
    clock: Clock
    pool: AsyncConnectionPool[Any]
    folder: Path
    token: str = ""
    profile: dict[str, object] = field(default_factory=dict)

    async def new_profile(self, valid: timedelta = timedelta(days=1)) -> dict[str, object]:
        async with self.pool.connection() as db:
            self.profile = await make_profile(
                db,
                agreement="urn:uuid:agreement-1",
                system=CONSUMER,
                purpose="HP-DATDAI-01",
                expires=self.clock() + valid,
                endpoint=f"{self.url}/delta/",
            )
        self.token = str(self.profile["bearerToken"])
        return self.profile

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"{self.url}/delta/", headers={"Authorization": f"Bearer {self.token}"}, timeout=60
        )

    async def query(self, **body: object) -> list[dict[str, Any]]:
        """The lines of a table query."""
        async with self.client() as client:
            answer = await client.post(f"{TABLE}/query", json=body)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    async def files(self, **body: object) -> list[dict[str, Any]]:
        """The files of a table query."""
        return [line["file"] for line in await self.query(**body) if "file" in line]


@contextlib.asynccontextmanager
async def a_provider(
    database: DatabaseDsns, sandbox: Sandbox, folder: Path, service: Service, *, rows_per_file: int = 500
) -> AsyncGenerator[Provider]:
    """A door on a free port, open until the block ends; one profile is made already."""
    pool, sources, clock = await open_pool(database.app), Sources(), Clock()
    gate = TestGate([service])
    signer = AddressSigner(b"k" * 32)
    taking = Taking(pool, gate, Materialiser(pool, Storage(folder, rows_per_file), sandbox, sources), signer, clock)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = Starlette(routes=share_routes(taking, signer, url))
        install(app)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve([listener]))
        provider = Provider(url, gate, taking, clock, pool, folder)
        await provider.new_profile()
        try:
            yield provider
        finally:
            server.should_exit = True
            await serving
            await sources.close()
            await pool.close()
