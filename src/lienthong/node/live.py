"""Services and agreements in a process's memory, renewed at every notice of the database."""

from __future__ import annotations

import asyncio

from lienthong.agreements.index import AgreementIndex
from lienthong.catalog.models import Service
from lienthong.catalog.queries import all_services
from lienthong.node.local import Local, listen

CHANNELS = ("agreement", "service")


class Live:
    """What this node publishes and what it has agreed to, as last told."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._services: dict[str, Service] = {}
        self._task: asyncio.Task[None] | None = None
        self.index = AgreementIndex()

    def service(self, identifier: str) -> Service | None:
        """This node's service with this id, or None."""
        return self._services.get(identifier)

    def services(self) -> list[Service]:
        """Every service of this node, by id."""
        return [self._services[name] for name in sorted(self._services)]

    async def start(self) -> None:
        """Load everything once, then follow changes."""
        await self.reload()
        self._task = asyncio.create_task(listen(self._local.dsns.app, CHANNELS, self.reload))

    async def stop(self) -> None:
        """Follow no more."""
        while self._task and not self._task.done():
            # Asked again: Python 3.11's wait_for loses a cancellation that meets the notice it waits for.
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1.0)

    async def reload(self) -> None:
        """Read services and agreements anew."""
        async with self._local.pool.connection() as db:
            services = {service.id: service for service in await all_services(db)}
            await self.index.reload(db)
        self._services = {str(name): service for name, service in services.items()}
