"""One node that hosts two members, and a provider: the first member has used everything, the second is curious.

Real gateways and public listeners as ``serve`` composes them, so that whatever a listener has is here too.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import hashlib
import inspect
import json
import textwrap
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from lienthong.agreements.keeping import keep_agreement
from lienthong.agreements.models import Agreement
from lienthong.agreements.signing import MemberSigner
from lienthong.catalog.publish import PublishRequest
from lienthong.catalog.publish import publish as publish_service
from lienthong.config import Client
from lienthong.directory.models import MemberId, ServiceId, System, SystemId
from lienthong.exchange.clientdoor import ClientDoor
from lienthong.exchange.parts import Parts
from lienthong.node.gateway import Gateway
from lienthong.node.local import Local, open_local
from lienthong.node.ownpages import open_pages, own_pages
from lienthong.node.supervise import write_dsns
from lienthong.node.web import PublicWeb
from lienthong.storage.keyring import Keyring
from lienthong.storage.provision import DatabaseDsns
from lienthong.tables.share import make_profile
from lienthong.trust.keys import generate_es256, key_id, public_jwk
from tests.agreements.build import an_agreement
from tests.use.conftest import FIELDS, PEOPLE, the_service
from tests.use.forged import CITIZEN
from tests.use.nodes import COUNTER, POLICE, PROVINCE, PURPOSE, a_directory, free_port, publish, settings_of

OTHER = MemberId("VN/GOV/G13")
CURIOUS = SystemId("VN/GOV/G13/datdai")
UNIT = ServiceId("VN/GOV/G01/dancu/unit")
HIDDEN = ServiceId("VN/GOV/G01/dancu/hidden-register")
TOKENS = {COUNTER: "the token of the counter", CURIOUS: "the token of the curious"}
BINH = "001099012345"
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass
class Site:
    """One node: its gateway as ``serve`` starts it, its public listener's application."""

    local: Local
    gateway: SeenGateway
    web: PublicWeb
    client: httpx.AsyncClient
    public: httpx.AsyncClient


@dataclass
class Scene:
    """What belongs to the first member, by kind, and what of it nobody else may see a byte of."""

    ours: Site
    theirs: Site
    ids: Mapping[str, str]
    secrets: Mapping[str, bytes]
    token: str
    """A share profile of the curious one's own, for another table of the same provider."""

    def told(self, content: bytes) -> list[str]:
        """Which secrets stand in ``content``."""
        return [name for name, secret in self.secrets.items() if secret in content]


def headers_of(system: SystemId) -> dict[str, str]:
    return {"X-Road-Client": system, "Lienthong-Token": TOKENS[system]}


def client_paths(local: Local) -> set[str]:
    """Every path that the client listener knows: the literals of the door's one match, and its pages."""
    door = ast.parse(textwrap.dedent(inspect.getsource(ClientDoor._other)))
    literals = {node.value for node in ast.walk(door) if isinstance(node, ast.Constant)}
    named = {value.decode() for value in literals if isinstance(value, bytes) and value.startswith(b"/") and value[1:]}
    return named | {path.decode() for path in (*own_pages(local), *open_pages(local))}


class SeenGateway(Gateway):
    """A gateway that lets a test see what it is made of."""

    def _parts(self) -> Parts:
        self.seen = super()._parts()
        return self.seen


@contextlib.asynccontextmanager
async def open_scene(dsns: list[DatabaseDsns], folder: Path, sandbox: Path, patch: pytest.MonkeyPatch) \
        -> AsyncIterator[Scene]:  # fmt: skip
    """Both nodes serving; the first member has called, subscribed, and taken the table."""
    for module in ("gateway", "web"):
        patch.setattr(f"lienthong.node.{module}.sandbox_socket", lambda settings: sandbox)
    locals_ = [
        await _local(dsns[0], folder, "nut-h24", (PROVINCE, OTHER)),
        await _local(dsns[1], folder, "nut-g01", (POLICE,)),
    ]
    contents = a_directory(locals_, datetime.now(UTC))
    members = tuple(
        replace(member, keys=tuple(replace(key, valid_from=LONG_AGO) for key in member.keys))
        for member in contents.members
    )
    systems = (*contents.systems, System(CURIOUS, "Đất đai", "Land"))
    publish(locals_, replace(contents, members=members, systems=systems), folder, generate_es256())
    with psycopg.connect(dsns[1].owner, autocommit=True) as source:
        source.execute(PEOPLE)
        source.execute("CREATE TABLE unit (code text PRIMARY KEY); INSERT INTO unit VALUES ('31')")
    await _publish_services(locals_[1])
    theirs = an_agreement(
        target="VN/GOV/G01/dancu/ds/citizen", purposes=(PURPOSE,), fields=FIELDS, masks=(("phone", "partial"),),
        row_filter=(("province_code", "eq", "31"),), ways=("call", "table", "query", "event"),
    )  # fmt: skip
    own = an_agreement(f"urn:uuid:{uuid.uuid4()}", consumer=OTHER, target=UNIT, purposes=(PURPOSE,), fields=("code",))
    for agreement in (theirs, own):
        await _agree(agreement, locals_)
    sites = [await _serve(local) for local in locals_]
    try:
        yield await _used(*sites, theirs, own)
    finally:
        for site in sites:
            await asyncio.gather(site.client.aclose(), site.public.aclose())
            await site.gateway.stop(1.0)
            await site.web.stop()


async def _local(dsns: DatabaseDsns, folder: Path, node: str, members: tuple[str, ...]) -> Local:
    port = free_port()
    settings = replace(
        settings_of(node, members[0], folder, free_port()), members=members, client_port=free_port(),
        public_port=port, public_url=f"http://127.0.0.1:{port}",
        clients=tuple(
            Client(system, auth="token", token_sha256=hashlib.sha256(token.encode()).hexdigest())
            for system, token in TOKENS.items()
        ),
    )  # fmt: skip
    Keyring(settings.data)
    write_dsns(settings, dsns)
    return await open_local(settings)


async def _publish_services(local: Local) -> None:
    async with local.pool.connection() as db:
        await the_service(db, local.dsns.owner)
        for name, sharing in ((UNIT, "shared"), (HIDDEN, "private")):
            request = PublishRequest(
                service=name, source=f"{local.dsns.owner}#public.unit", title_vi="Đơn vị", sharing=sharing
            )
            await publish_service(db, request)


async def _agree(agreement: Agreement, locals_: list[Local]) -> None:
    def signed(member: str) -> str:
        local = next(local for local in locals_ if member in local.settings.members)
        key = local.keyring.es256(member)
        return MemberSigner(member, key_id(public_jwk(key)), key).sign(agreement.document)

    provider, consumer = signed(agreement.terms.provider), signed(agreement.terms.consumer)
    for local in locals_:
        async with local.pool.connection() as db:
            await keep_agreement(
                db, agreement, provider_jws=provider, consumer_jws=consumer, now=datetime.now(UTC)
            )  # fmt: skip


async def _serve(local: Local) -> Site:
    gateway, web = SeenGateway(local), PublicWeb(await open_local(local.settings))
    await gateway.start()
    await web.start()
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.ports[0]}", timeout=120)
    public = httpx.AsyncClient(transport=httpx.ASGITransport(web.app), base_url="http://public", timeout=120)
    return Site(local, gateway, web, client, public)


async def _used(ours: Site, theirs: Site, agreement: Agreement, own: Agreement) -> Scene:
    """The first member uses all ways, and what they left behind is noted."""
    as_counter = headers_of(COUNTER)
    called = await ours.client.get(
        f"/r1/{CITIZEN}?personal_number={BINH}",
        headers=as_counter | {"Lienthong-Purpose": PURPOSE, "X-Road-UserId": "canbo-77", "X-Road-Issue": "HS-4711"},
    )
    assert called.status_code == 200, called.text
    record = called.headers["lienthong-record"]
    shown = await ours.client.get(f"/log/receipt/{record}", headers=as_counter)
    assert shown.status_code == 200, shown.text
    receipt = shown.json()
    leaf = json.loads(receipt["record"])
    subscribed = await ours.client.post(
        "/events", json={"service": CITIZEN, "purpose": PURPOSE}, headers=as_counter
    )  # fmt: skip
    profiled = await ours.client.post(
        "/share/profile", json={"agreement": agreement.id, "purpose": PURPOSE}, headers=as_counter
    )  # fmt: skip
    assert (subscribed.status_code, profiled.status_code) == (200, 200), (subscribed.text, profiled.text)
    token = profiled.json()["profile"]["bearerToken"]
    taken = await theirs.public.post(
        "/delta/shares/g01/schemas/dancu/tables/citizen/query", json={}, headers={"Authorization": f"Bearer {token}"}
    )
    assert taken.status_code == 200, taken.text
    file = httpx.URL(next(f["file"]["url"] for f in map(json.loads, taken.text.splitlines()) if "file" in f))
    reading, name = file.path.split("/")[-2:]
    async with theirs.local.pool.connection() as db:
        profile = await make_profile(
            db, agreement=own.id, system=CURIOUS, purpose=PURPOSE, expires=datetime.now(UTC) + timedelta(days=1),
            endpoint="http://public/delta/",
        )  # fmt: skip
    subscription = str(subscribed.json()["id"])
    ids = {
        "member": PROVINCE, "system": COUNTER, "service": CITIZEN, "hidden service": HIDDEN, "agreement": agreement.id,
        "agreement digest": agreement.digest.removeprefix("sha-256:"), "record": record, "their record":
        str(leaf["peer_record"]), "exchange": leaf["exchange_id"], "subscription": subscription, "reading": reading,
        "file": name, "purpose": PURPOSE, "person": BINH,
    }  # fmt: skip
    secrets = {
        "the name": "Thị Bình".encode(), "the name, escaped": json.dumps("Thị Bình")[1:-1].encode(),
        "the number": BINH.encode(), "the phone": b"091234", "the officer": b"canbo-77", "the case": b"HS-4711",
        "the subscription": subscription.encode(), "the token": token.encode(), "the reading": reading.encode(),
        "the address": file.params["signature"].encode(), "the hidden service": HIDDEN.rsplit("/", 1)[1].encode(),
        "the message": receipt["messages"]["request"]["signature"].encode(),
    }  # fmt: skip
    return Scene(ours, theirs, ids, secrets, str(profile["bearerToken"]))


def one_at_a_time(known: Mapping[str, str], names: list[str], ids: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The values of ``names`` as the first member has them, then with every id in the place of each."""
    whole = {name: known[name] for name in names}
    yield whole
    for name in names:
        for value in ids.values():
            yield whole | {name: value}
