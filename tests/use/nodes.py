"""Two real nodes in one process: own databases, own keys, real TLS between them, one directory both have verified."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from lienthong.access.gate import Gate
from lienthong.access.seen import SeenMessages
from lienthong.access.sequence import Sequencer
from lienthong.access.write import COLUMNS, RecordWriter
from lienthong.agreements.policy import Compiled
from lienthong.catalog.models import Service
from lienthong.config import Settings
from lienthong.directory.document import Contents, write_directory
from lienthong.directory.follow import KEPT
from lienthong.directory.models import Contact, Member, MemberId, MemberKey, Node, NodeId, Purpose, System, SystemId
from lienthong.exchange.client import HttpClient
from lienthong.exchange.consume import Consumer
from lienthong.exchange.guard import RequestLimits
from lienthong.exchange.listen import Listener, serve_app
from lienthong.exchange.parts import Parts
from lienthong.exchange.peer import OwnCertificate, PeerOrigins, PeerTrust
from lienthong.exchange.peerdoor import PeerDoor
from lienthong.exchange.provide import Provider
from lienthong.exchange.signed import PeerLink
from lienthong.node.certificates import tls_files
from lienthong.node.local import Local, open_local
from lienthong.node.prepare import LOG_KEY, identity_of, local_keys
from lienthong.node.supervise import write_dsns
from lienthong.storage.copy import GroupCommit
from lienthong.storage.keyring import Keyring
from lienthong.storage.objects import ObjectStore
from lienthong.storage.provision import DatabaseDsns
from lienthong.tables.queries import Sources
from lienthong.tables.read import TableReader
from lienthong.trust.documents import sign_document
from lienthong.trust.keys import key_id, public_jwk

POLICE = MemberId("VN/GOV/G01")
PROVINCE = MemberId("VN/GOV/H24")
COUNTER = SystemId("VN/GOV/H24/motcua")
PURPOSE = "HP-01"
CONTACT = Contact("Nguyễn Văn An", "Cán bộ đầu mối", "02438000000", "dau.moi@example.vn")


@dataclass
class TestNode:
    """One node with everything a gateway has; its agreements and services are lists a test may change."""

    __test__ = False

    local: Local
    agreements: list[Compiled] = field(default_factory=list)
    services: dict[str, Service] = field(default_factory=dict)
    parts: Parts = None  # type: ignore[assignment]
    consumer: Consumer = None  # type: ignore[assignment]
    provider: Provider = None  # type: ignore[assignment]
    listener: Listener = None  # type: ignore[assignment]
    closers: list[Callable] = field(default_factory=list)

    def find(self, consumer: SystemId, targets: Sequence[str]) -> list[Compiled]:
        return [c for c in self.agreements if c.target in targets and consumer.startswith(c.prefix)]

    async def sequence(self) -> int:
        sequencer = Sequencer(self.local.files, self.local.keyring.ed25519(LOG_KEY))
        async with self.local.pool.connection() as db:
            return await sequencer.step(db)

    async def leaves(self) -> list[dict]:
        async with self.local.pool.connection() as db:
            cursor = await db.execute("SELECT leaf FROM record ORDER BY seq")
            return [json.loads(bytes(row[0])) for row in await cursor.fetchall()]

    async def receipt(self, hash_hex: str, **options) -> dict:
        await self.sequence()
        async with self.local.pool.connection() as db:
            return await self.local.receipts.receipt(db, hash_hex, **options)

    async def stop(self) -> None:
        await self.listener.stop(2.0)
        for close in reversed(self.closers):
            await close()


def settings_of(node: str, member: str, folder: Path, port: int) -> Settings:
    return Settings(
        node=node,
        data=folder / node,
        members=(member,),
        peer_port=port,
        peer_url=f"https://127.0.0.1:{port}",
        directory_anchor=folder / "anchor.json",
    )


def a_directory(locals_: Sequence[Local], now: datetime) -> Contents:
    """Both members with the keys, nodes, systems and purposes that the tests use."""
    identities = [identity_of(local.settings, local.keyring) for local in locals_]
    members, nodes = [], []
    for identity in identities:
        for member, jwk in identity.members.items():
            key = MemberKey(key_id(jwk), jwk, NodeId(identity.node), now - timedelta(days=1), now + timedelta(days=365))
            members.append(
                Member(
                    id=MemberId(member), name_vi=member, name_en=member, kind="agency", block="government", parent=None,
                    state="active", successor=None, verified=True, security_level=3, contact=CONTACT, keys=(key,),
                )
            )  # fmt: skip
        nodes.append(
            Node(
                id=NodeId(identity.node), operator=MemberId(next(iter(identity.members))),
                members=tuple(MemberId(m) for m in identity.members), peer_url=identity.peer_url,
                public_url=identity.public_url, tls_sha256=(identity.tls_sha256,), log_origin=identity.log_origin,
                log_key=identity.log_key,
            )
        )  # fmt: skip
    return Contents(
        members=tuple(members),
        systems=(System(COUNTER, "Một cửa", "One-stop shop"), System(SystemId("VN/GOV/G01/dancu"), "Dân cư", "People")),
        nodes=tuple(nodes),
        purposes=(Purpose(PURPOSE, PROVINCE, "Thủ tục", "Procedure", "NĐ 278/2025", date(2025, 1, 1), None),),
        authorities=tuple(identity.certificate_pem for identity in identities),
    )


def publish(locals_: Sequence[Local], contents: Contents, folder: Path, key, version: int = 1) -> None:
    """Sign ``contents`` and lay it where every node keeps its verified directory."""
    now = datetime.now(UTC)
    envelope = sign_document(
        write_directory(contents, version=version, issued=now, expires=now + timedelta(hours=24)),
        key, key_id(public_jwk(key)),
    )  # fmt: skip
    (folder / "anchor.json").write_text(json.dumps(public_jwk(key)))
    for local in locals_:
        ObjectStore(local.settings.data).put(KEPT, envelope)
        local.directory.look()


async def _no_rules(*_) -> None:
    """The tests' agreements are not by rule."""


async def start_node(local: Local, **extra) -> TestNode:
    """Open the parts and the peer listener of one node; the directory must have been published."""
    node = TestNode(local)
    settings = local.settings
    file, key, password = tls_files(settings, local.keyring)
    own = OwnCertificate(file, key, password)
    listed = local.directory.snapshot().contents.authorities
    client = HttpClient()
    commit = GroupCommit(local.dsns.log, "record", COLUMNS)
    seen = SeenMessages(local.dsns.app)
    await seen.start()
    keys = local_keys(settings, local.keyring)
    link = PeerLink(client, local.directory.snapshot, keys, PeerOrigins(own, listed))
    sources = Sources()
    options = {
        "answer_subquery": None, "call_backend": None, "notices": {}, "accept_rule": _no_rules,
        "tables": TableReader(sources, None),
    } | extra  # fmt: skip
    node.parts = Parts(
        settings=settings, snapshot=local.directory.snapshot, keys=keys, gate=Gate(node.find, local.directory.snapshot),
        writer=RecordWriter(commit, local.seal), seen=seen, link=link, service=lambda name: node.services.get(name),
        services=lambda: list(node.services.values()), **options,
    )  # fmt: skip
    node.consumer, node.provider = Consumer(node.parts), Provider(node.parts)
    trust = PeerTrust(own, listed)
    node.listener = await serve_app(
        PeerDoor(
            node.provider, settings.max_body_bytes, spools=node.parts.spools, max_large=settings.max_request_bytes
        ),
        "127.0.0.1", settings.peer_port, tls=trust.context, limits=RequestLimits(max_body=settings.max_request_bytes),
    )  # fmt: skip
    node.closers = [local.pool.close, sources.close, seen.stop, commit.close, client.close]
    return node


def free_port() -> int:
    import socket  # one number, asked where it is needed

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def two_locals(databases: Sequence[DatabaseDsns], folder: Path) -> list[Local]:
    """The two nodes' opened parts, the consumer's first, over two databases."""
    locals_ = []
    for dsns, (node, member) in zip(databases, (("nut-h24", PROVINCE), ("nut-g01", POLICE)), strict=True):
        settings = settings_of(node, member, folder, free_port())
        Keyring(settings.data)
        write_dsns(settings, dsns)
        locals_.append(await open_local(settings))
    return locals_
