"""National node, witness, time server and identity provider gone at once: calls go on, receipts and /readyz say so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import psycopg
import pytest

from lienthong.config import IdentityProvider
from lienthong.directory.document import write_directory
from lienthong.directory.follow import KEPT
from lienthong.directory.models import NodeId, WitnessPolicy
from lienthong.exchange.consume import Wish
from lienthong.node import jobchecks, witnesschecks
from lienthong.node.health import HealthDesk, note_checks
from lienthong.node.prepare import identity_of
from lienthong.node.stamping import stamp_newest
from lienthong.storage.objects import ObjectStore
from lienthong.storage.server import PostgresServer
from lienthong.trust.documents import sign_document
from lienthong.trust.keys import key_id, public_jwk
from tests.node_pages.country import NODES, Country, open_country
from tests.use.databases import databases
from tests.use.forged import BODY, CITIZEN
from tests.use.nodes import COUNTER, PURPOSE, free_port

pytestmark = [pytest.mark.integration, pytest.mark.faults]

NATIONAL = NodeId("nut-quoc-gia")
OLD = "UPDATE checkpoint SET at = at - interval '1 hour'"


@pytest.fixture
async def country(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Country]:
    with databases(pg_server, len(NODES)) as dsns:
        async with open_country(dsns, tmp_path) as opened:
            yield opened


def ask_for_witness(country: Country) -> None:
    """The directory asks for the national node's cosignature; it was issued half an hour ago and is not renewed."""
    witness = identity_of(country.national.local.settings, country.national.local.keyring).witness_key
    nodes = tuple(
        replace(node, witness_key=witness) if node.id == NATIONAL else node for node in country.contents.nodes
    )
    contents = replace(country.contents, nodes=nodes, witness_policy=WitnessPolicy(1, (NATIONAL,)))
    issued = datetime.now(UTC) - timedelta(minutes=30)
    document = write_directory(contents, version=2, issued=issued, expires=issued + timedelta(hours=24))
    envelope = sign_document(document, country.key, key_id(public_jwk(country.key)))  # type: ignore[arg-type]
    for site in country.sites:
        ObjectStore(site.local.settings.data).put(KEPT, envelope)
        site.local.directory.look()


async def test_without_any_helper_calls_go_on_and_readiness_names_each(country: Country) -> None:
    ask_for_witness(country)
    await country.national.silence()
    await country.national.node.listener.stop(1.0)
    police = country.police.local
    roots = country.folder / "roots.pem"
    roots.write_text(country.contents.authorities[0])
    away = IdentityProvider("vneid", f"http://127.0.0.1:{free_port()}", "node")
    settings = replace(
        police.settings, tsa_url=f"http://127.0.0.1:{free_port()}/tsa", tsa_roots=roots, identity_providers=(away,)
    )
    police = replace(police, settings=settings)

    for _ in range(2):
        used = await country.use(
            Wish(
                consumer=COUNTER, service=CITIZEN, way="call", target=b"/x1/" + CITIZEN.encode(), body=BODY,
                purpose=PURPOSE, deadline_s=60.0,
            )
        )  # fmt: skip
        assert used.answer.status == 200, used.answer
    with psycopg.connect(police.dsns.owner, autocommit=True) as db:
        db.execute(OLD)  # as if nobody had come for an hour
    async with aiohttp.ClientSession() as session:
        with pytest.raises(OSError):
            await stamp_newest(police, session)

    receipt = await country.police.node.receipt(used.peer_record)
    assert json.loads(receipt["record"])["outcome"] == "permitted"
    assert receipt["proof"] is not None
    assert receipt["witnesses"]["cosigned"] == []
    assert receipt["witnesses"]["threshold"] == 1

    await note_checks(
        police, [jobchecks.peers, jobchecks.identity_providers, witnesschecks.witnesses, witnesschecks.timestamps]
    )
    health = await HealthDesk(police).look()
    assert health.ready, "what is missing stops nothing"
    assert health.status == "degraded"
    told = {cause["part"]: cause for cause in health.as_dict("en")["causes"]}  # type: ignore[attr-defined]
    assert told.keys() >= {"directory", "peers", "witnesses", "timestamps", "identity-providers"}, health.parts
    assert NATIONAL in told["peers"]["detail"]
    assert "vneid" in told["identity-providers"]["detail"]
    assert all(cause["mend"] for cause in told.values())
