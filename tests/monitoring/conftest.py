"""Two nodes with their real gateways, a described HTTP service, and a back end that tells what it got."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest

from lienthong.catalog.models import Endpoint, HttpSource, Service, Subject
from lienthong.catalog.queries import store_service
from lienthong.config import Client
from lienthong.directory.models import ServiceId
from lienthong.exchange.listen import serve_app
from lienthong.node import gateway as gateway_module
from lienthong.node.gateway import Gateway
from lienthong.storage.server import PostgresServer
from tests.agreements.build import an_agreement
from tests.node_pages.country import NODES, Country, citizen_terms, open_country
from tests.use.databases import databases
from tests.use.nodes import COUNTER

PERSON = ServiceId("VN/GOV/G01/dancu/person")


@dataclass
class Pair:
    """The consumer's and the provider's gateway."""

    country: Country
    consumer: Gateway
    provider: Gateway
    http: httpx.AsyncClient
    """To the consumer's client listener."""
    heard: list[dict[str, str]] = field(default_factory=list)
    """Header fields that the back end got, newest last."""

    async def tell(self) -> None:
        """Both gateways put down what they saw."""
        for gateway in (self.consumer, self.provider):
            await gateway._observer.flush()


async def open_gateway(local, **changes) -> Gateway:
    settings = replace(local.settings, client_port=0, clients=(Client(COUNTER), Client("VN/GOV/G01/dancu")), **changes)
    gateway = Gateway(replace(local, settings=settings))
    await gateway.start()
    return gateway


@pytest.fixture
def tracer_provider():
    """None: traces are off; a test module may give one."""
    return None


@pytest.fixture
async def pair(pg_server: PostgresServer, tmp_path: Path, monkeypatch, tracer_provider) -> AsyncIterator[Pair]:
    heard: list[dict[str, str]] = []

    async def backend(scope, receive, send):
        heard.append({name.decode(): value.decode() for name, value in scope["headers"]})
        body = b'{"personal_number": "001099012345", "full_name": "Nguyen Thi Binh"}'
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    if tracer_provider is not None:
        honest = gateway_module.tracing
        monkeypatch.setattr(gateway_module, "tracing", lambda collector: honest(collector, tracer_provider))
    behind = await serve_app(backend, "127.0.0.1", 0)
    with databases(pg_server, len(NODES)) as dsns:
        async with open_country(dsns, tmp_path) as country:
            service = Service(
                id=PERSON, kind="http", title_vi="Người", title_en="Person", sharing="shared", fields=(),
                personal=True, subjects=(Subject("response", "$.personal_number", "personal_number"),),
                endpoints=(Endpoint("GET", "/persons/{number}"),),
                source=HttpSource(url=f"http://127.0.0.1:{behind.port}"),
            )  # fmt: skip
            async with country.police.local.pool.connection() as db:
                await store_service(db, service)
            terms = citizen_terms(target=PERSON, fields=None, masks=(), row_filter=(), ways=("call",))
            await country.agree(an_agreement("urn:uuid:00000000-0000-4000-8000-000000000002", **terms))
            for site in (country.province, country.police):
                await site.node.listener.stop(1.0)
            provider = await open_gateway(country.police.local)
            consumer = await open_gateway(country.province.local)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{consumer.ports[0]}", trust_env=False) as http:
                yield Pair(country, consumer, provider, http, heard)
            for gateway in (consumer, provider):
                await gateway.stop(2.0)
    await behind.stop(1.0)
