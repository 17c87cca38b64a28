"""What programs ask a node in public: whether it serves, its services, its agreements, the directory."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from lienthong.catalog.queries import store_service
from lienthong.directory.versions.queries import latest_version
from lienthong.node.health import note_checks
from lienthong.node.jobchecks import clock
from lienthong.storage.provision import DatabaseUnavailable
from tests.node_pages.country import CITIZEN
from tests.use.nodes import publish


async def asked(site, country, path: str, **options) -> tuple[int, dict]:
    status, text = await country.get(site.url + path, **options)
    return status, json.loads(text)


@asynccontextmanager
async def database_gone(site, pg_server) -> AsyncIterator[None]:
    """Nobody gets into the site's database, and whoever was in is thrown out."""
    with psycopg.connect(pg_server.dsn(), autocommit=True) as db:
        name = site.local.dsns.app.rsplit("?", 1)[0].rsplit("/", 1)[1]
        db.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        db.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            db.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


async def test_a_node_that_has_all_it_needs_is_ready(country):
    await note_checks(country.police.local, [clock])  # its jobs process runs
    assert await asked(country.police, country, "/livez") == (200, {"status": "ok"})
    status, body = await asked(country.police, country, "/readyz")
    assert (status, body["status"], body["causes"]) == (200, "ok", [])


async def test_a_node_without_a_directory_is_not_ready_and_says_what_to_do(country):
    (country.police.local.settings.data / "directory" / "current").unlink()
    country.police.local.directory._snapshot = None  # what a node that has just been set up has

    status, body = await asked(country.police, country, "/readyz?lang=en")

    assert (status, body["status"], body["parts"]["directory"]) == (503, "not-ready", "no-directory")
    assert "directory_url" in body["causes"][0]["detail"]


async def test_a_node_with_an_old_directory_goes_on_degraded(country, monkeypatch):
    old = datetime.now(UTC) - timedelta(minutes=11)
    monkeypatch.setattr("tests.use.nodes.datetime", type("Earlier", (datetime,), {"now": classmethod(lambda *_: old)}))
    publish([country.police.local], country.contents, country.folder, country.key, 2)

    status, body = await asked(country.police, country, "/readyz?lang=en")

    assert (status, body["status"], body["parts"]["directory"]) == (200, "degraded", "degraded")
    assert "ten minutes" in body["causes"][0]["detail"]


async def test_services_are_told_without_where_their_data_lie_and_private_ones_not_at_all(country):
    service = country.police.node.services[CITIZEN]
    private = replace(service, id=f"{CITIZEN}2", sharing="private")
    async with country.police.local.pool.connection() as db:
        await store_service(db, private)

    status, body = await asked(country.police, country, "/v1/services")

    assert (status, [each["id"] for each in body["services"]]) == (200, [CITIZEN])
    assert "source" not in body["services"][0]
    assert "public.person" not in json.dumps(body)
    assert "citizen2" not in (await country.get(country.police.url + "/"))[1]


@pytest.mark.parametrize("prefix", ["", "sha-256:"])
async def test_an_agreement_is_told_with_its_exact_document(country, prefix):
    _, listed = await asked(country.police, country, "/v1/agreements")
    digest = listed["agreements"][0]["digest"].removeprefix("sha-256:")

    status, body = await asked(country.police, country, f"/v1/agreements/{prefix}{digest}")

    assert (status, body) == (200, listed["agreements"][0])
    assert hashlib.sha256(body["document"].encode()).hexdigest() == digest
    assert body["provider_jws"] != body["consumer_jws"]


@pytest.mark.parametrize("digest", ["0" * 64, "nothing", "%00", "sha-256:sha-256:" + "0" * 64])
async def test_an_unknown_agreement_is_not_found(country, digest):
    status, body = await asked(country.police, country, f"/v1/agreements/{digest}")

    assert (status, body["type"]) == (404, "urn:lienthong:problem:no-such-page")


async def test_only_the_national_node_gives_out_the_directory(country):
    assert (await asked(country.police, country, "/directory/current"))[0] == 404
    # Nothing was published through its database yet: these tests hand the directory out themselves.
    status, body = await asked(country.national, country, "/directory/current?lang=en")
    assert (status, body["detail"]) == (404, "The directory has not been published yet.")
    async with country.national.local.pool.connection() as db:
        assert await latest_version(db) is None


async def test_when_the_database_is_gone_every_answer_says_so_and_the_next_one_works(country, pg_server):
    site, paths = country.police, ("/", "/v1/services", f"/v1/agreements/{'0' * 64}", f"/records/{'0' * 64}")
    async with database_gone(site, pg_server):
        answers = await asyncio.gather(*(asked(site, country, path) for path in paths))
        ready, causes = await asked(site, country, "/readyz")
        alive, _ = await asked(site, country, "/livez")

    assert [status for status, _ in answers] == [503] * len(paths)
    assert {body["type"] for _, body in answers} == {f"urn:lienthong:problem:{DatabaseUnavailable.kind}"}
    assert all(body["side"] == "node" and body["mend"] for _, body in answers)
    assert (ready, causes["causes"][0]["part"], alive) == (503, "database", 200)
    # The pool tries again at growing intervals; it is told here that it may.
    await site.local.pool.check()
    assert [(await country.get(site.url + path))[0] for path in paths] == [200, 200, 404, 404]
