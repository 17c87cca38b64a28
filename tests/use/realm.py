"""A small country of real nodes in one process: a national node that publishes by TUF, gateways that follow it.

Each node has its own database, keys, TLS certificate and both listeners; what its jobs process does in rounds is done
at ``follow``, so that a test says when a round is.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from starlette.applications import Starlette

from lienthong.config import Settings, load_settings
from lienthong.directory import register
from lienthong.directory.changes import approve_change, submit
from lienthong.directory.lifecycle import approve
from lienthong.directory.models import Member, MemberId, MemberKey, Node, NodeId, Purpose, System, SystemId
from lienthong.directory.queries import insert_operator
from lienthong.directory.tuf.publish import MetadataPublisher, take_over_root
from lienthong.directory.tuf.sign import OnlineKeys, draft_root, finish_root, sign_root
from lienthong.exchange.listen import serve_app
from lienthong.node.desk import open_desk
from lienthong.node.following import Following, Watch, follow_once, follower_of
from lienthong.node.gateway import Gateway
from lienthong.node.local import Local, open_local
from lienthong.node.prepare import DIRECTORY_KEY, ONLINE_ROLE_KEYS, identity_of
from lienthong.node.public import public_routes
from lienthong.node.supervise import write_dsns
from lienthong.storage.keyring import Keyring
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_ed25519, key_id, public_jwk
from lienthong.web import install
from tests.use.databases import databases
from tests.use.nodes import CONTACT

NATIONAL = "VN/GOV/G99"
BELOW_EPHEMERAL = range(12_000, 32_000)


@dataclass
class RealmNode:
    """One member's node: everything it serves, and how it follows the directory."""

    local: Local
    gateway: Gateway
    public: Any
    follower: Following
    watch: Watch

    @property
    def member(self) -> str:
        return self.local.settings.members[0]

    @property
    def client_url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.ports[0]}"

    def desk(self) -> Any:
        return open_desk(self.local.settings, self.local.dsns.app)


@dataclass
class Realm:
    """The national node's side and the members' nodes by member."""

    folder: Path
    national: Local
    publisher: MetadataPublisher
    web: aiohttp.ClientSession
    nodes: dict[str, RealmNode]
    operators: tuple[Any, Any]

    async def publish(self) -> None:
        async with self.national.pool.connection() as db:
            await self.publisher.publish(db, datetime.now(UTC))

    async def follow(self) -> None:
        """What each node's jobs process does every two seconds, and its gateway every half."""
        for node in self.nodes.values():
            await follow_once(node.local, self.web, node.follower, node.watch)
            node.local.directory.look()
        for node in self.nodes.values():
            node.gateway.renew()

    async def spread(self) -> None:
        await self.publish()
        await self.follow()

    async def carry_out(self, request: bytes) -> None:
        """Submit a signed request, let both operators approve it, and let everybody hear of it."""
        async with self.national.pool.connection() as db:
            now = datetime.now(UTC)
            change = await submit(db, request, now)
            for operator in self.operators:
                await approve_change(db, change.id, approve(change.id, operator, now), now)
        await self.spread()

    async def call(self, system: str, service: str, purpose: str, body: dict[str, object]) -> aiohttp.ClientResponse:
        """A call through the client listener of the system's node; the answer, read."""
        node = self.nodes["/".join(system.split("/")[:3])]
        headers = {
            "Accept-Language": "en",
            "X-Road-Client": system,
            "Lienthong-Purpose": purpose,
            "Content-Type": "application/json",
        }
        url = f"{node.client_url}/r1/{service}"
        async with self.web.post(url, data=json.dumps(body), headers=headers) as answer:
            await answer.read()
            return answer


@asynccontextmanager
async def a_realm(
    server: PostgresServer,
    folder: Path,
    systems: tuple[str, ...],
    purposes: dict[str, str],
    gateway: Mapping[str, Any] | None = None,
    extra: str = "",
) -> AsyncIterator[Realm]:
    """A realm of the members of ``systems``; ``purposes`` is code to member.  Nobody has agreed on anything.

    ``gateway`` are options of every node's gateway, ``extra`` lines of every node's configuration.
    """
    members = tuple(dict.fromkeys("/".join(system.split("/")[:3]) for system in systems))
    async with AsyncExitStack() as stack:
        dsns = stack.enter_context(databases(server, len(members) + 1))
        port, anchor = a_port(), folder / "root.json"
        locals_ = []
        for member, own in zip((NATIONAL, *members), dsns, strict=True):
            settings = _settings(folder, member, systems, port, extra)
            Keyring(settings.data)
            write_dsns(settings, own)
            locals_.append(await open_local(settings))
        national = locals_[0]
        online = {role: national.keyring.es256(name) for role, name in ONLINE_ROLE_KEYS.items()}
        keepers, now = [generate_ed25519() for _ in range(2)], datetime.now(UTC)
        draft = draft_root([k.public_key() for k in keepers], 2, {r: k.public_key() for r, k in online.items()}, now)
        root = finish_root([sign_root(draft, key, "", now) for key in keepers], None)
        anchor.write_bytes(root)
        operators = (generate_ed25519(), generate_ed25519())
        async with national.pool.connection() as db:
            await take_over_root(db, root, now)
            for operator in operators:
                jwk = public_jwk(operator)
                await insert_operator(db, key_id(jwk), "người vận hành", jwk, now)
            await _admit(db, locals_, systems, purposes)
        web = await stack.enter_async_context(aiohttp.ClientSession())
        key = national.keyring.es256(DIRECTORY_KEY)
        publisher = MetadataPublisher(key, OnlineKeys(**online, notes=public_jwk(key)))
        realm = Realm(folder, national, publisher, web, {}, operators)
        await realm.publish()
        stack.push_async_callback(national.pool.close)
        app = Starlette(routes=public_routes(national))
        install(app)
        stack.push_async_callback((await serve_app(app, "127.0.0.1", port)).stop, 1.0)
        for local in locals_:
            node = await _start(stack, realm, local, root, gateway or {})
            realm.nodes[node.member] = node
        yield realm


def a_port() -> int:
    """A free port that no outgoing connection of this machine can be given before it is bound."""
    while True:
        port = random.choice(BELOW_EPHEMERAL)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _settings(folder: Path, member: str, systems: tuple[str, ...], directory_port: int, extra: str) -> Settings:
    name = "nut-" + member.rsplit("/", 1)[1].lower()
    national = member == NATIONAL
    public = directory_port if national else a_port()
    peer = a_port()
    clients = "".join(f'[[clients]]\nsystem = "{each}"\n' for each in systems if each.startswith(member + "/"))
    config = folder / f"{name}.toml"
    config.write_text(
        f'node = "{name}"\ndata = "{name}"\nmembers = ["{member}"]\nnational = {str(national).lower()}\n'
        f'directory_anchor = "root.json"\ndirectory_url = "http://127.0.0.1:{directory_port}/directory/current"\n'
        f'client_port = {a_port()}\npublic_port = {public}\npublic_url = "http://127.0.0.1:{public}"\n'
        f'peer_port = {peer}\npeer_url = "https://127.0.0.1:{peer}"\n{extra}{clients}'
    )
    return load_settings(config)


async def _admit(db: Any, locals_: list[Local], systems: tuple[str, ...], purposes: dict[str, str]) -> None:
    since = datetime.now(UTC) - timedelta(days=1)
    identities = [identity_of(local.settings, local.keyring) for local in locals_]
    for identity in identities:
        for member in identity.members:
            await register.add_member(
                db,
                Member(
                    id=MemberId(member), name_vi=member, name_en=member, kind="province", block="government",
                    parent=None, state="active", successor=None, verified=True, security_level=3, contact=CONTACT,
                    keys=(),
                ),
            )  # fmt: skip
        await register.add_node(
            db,
            Node(
                id=NodeId(identity.node), operator=MemberId(next(iter(identity.members))),
                members=tuple(MemberId(each) for each in identity.members), peer_url=identity.peer_url,
                public_url=identity.public_url, tls_sha256=(identity.tls_sha256,), log_origin=identity.log_origin,
                log_key=identity.log_key,
            ),
        )  # fmt: skip
        await register.add_authority(db, identity.certificate_pem)
        for member, jwk in identity.members.items():
            key = MemberKey(key_id(jwk), jwk, NodeId(identity.node), since, since + timedelta(days=365))
            await register.add_key(db, MemberId(member), key)
    for system in systems:
        await register.add_system(db, System(SystemId(system), system, system))
    for code, member in purposes.items():
        purpose = Purpose(code, MemberId(member), "Thủ tục", "Procedure", "NĐ 278/2025", date(2025, 1, 1), None)
        await register.add_purpose(db, purpose)


async def _start(
    stack: AsyncExitStack, realm: Realm, local: Local, root: bytes, options: Mapping[str, Any]
) -> RealmNode:
    follower, watch = follower_of(local, realm.web, root), Watch()
    await follow_once(local, realm.web, follower, watch)
    stack.push_async_callback(local.pool.close)
    gateway = Gateway(local, **options)
    await gateway.start()
    stack.push_async_callback(gateway.stop, 2.0)
    listener: Any = None
    if local is not realm.national:
        app = Starlette(routes=public_routes(local))
        install(app)
        listener = await serve_app(app, "127.0.0.1", local.settings.public_port)
        stack.push_async_callback(listener.stop, 1.0)
    return RealmNode(local, gateway, listener, follower, watch)
