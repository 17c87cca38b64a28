"""Keys and certificates change again and again between real nodes while calls run, and no call is refused for it."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lienthong.directory import changes, register
from lienthong.directory.lifecycle import ChangeRefused, request_change
from lienthong.directory.models import MemberId
from lienthong.directory.register import RegistrationRefused
from lienthong.node import gateway, prepare
from lienthong.node.certificates import CertificateChoice, fingerprint, held, next_certificate
from lienthong.node.local import KeptDirectory
from lienthong.node.prepare import current_key, key_names, local_keys, next_key, renew_keys
from lienthong.storage.keyring import Keyring
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import key_id, public_jwk
from tests.use.realm import Realm, RealmNode, a_realm
from tests.use.test_merger import CITIZEN, POLICE, REGISTER, a_table, agree, called, status, terms

pytestmark = pytest.mark.integration

PROVINCE = "VN/GOV/H24"
COUNTER = f"{PROVINCE}/motcua"
ROUNDS = 3
CALLERS = 3


@pytest.fixture
async def realm(pg_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Realm]:
    """Two members with an agreement; what is listed counts at once, for everybody follows when the test says so."""
    monkeypatch.setattr(changes, "KEY_AHEAD", changes.KEY_AHEAD * 0)
    monkeypatch.setattr(prepare, "SETTLE", prepare.SETTLE * 0)
    monkeypatch.setattr(gateway, "TRUST_LOOK_S", 3600.0)  # at ``follow`` alone, when every node knows
    options = {"certificate_ahead_s": 0.0}
    async with a_realm(pg_server, tmp_path, (REGISTER, COUNTER), {"HP-01": PROVINCE}, options) as made:
        await a_table(made.nodes[POLICE], CITIZEN)
        await agree(made.nodes[PROVINCE], made.nodes[POLICE], terms(PROVINCE, CITIZEN, "HP-01"))
        await called(made, COUNTER)
        yield made


@dataclass
class Load:
    """Calls without a pause, each caller with one under way."""

    seen: Counter[int] = field(default_factory=Counter)
    made: list[int] = field(default_factory=lambda: [0] * CALLERS)

    async def goes_on(self) -> None:
        """Until every caller was answered a call that began after what the test has just done."""
        goal = [count + 2 for count in self.made]
        async with asyncio.timeout(120):
            while any(made < due for made, due in zip(self.made, goal, strict=True)):  # noqa: ASYNC110 - only counted
                await asyncio.sleep(0.01)


@asynccontextmanager
async def under_load(realm: Realm) -> AsyncIterator[Load]:
    load, done = Load(), asyncio.Event()

    async def calling(caller: int) -> None:
        while not done.is_set():
            load.seen[await status(realm, COUNTER)] += 1
            load.made[caller] += 1

    running = [asyncio.create_task(calling(caller)) for caller in range(CALLERS)]
    try:
        yield load
    finally:
        done.set()
        await asyncio.gather(*running)


def request_of(asking: RealmNode, kind, **wanted) -> bytes:
    local = asking.local
    key = current_key(local.settings, local.keyring, asking.member, local.directory.snapshot())
    return request_change(kind, MemberId(asking.member), wanted, key, datetime.now(UTC))


async def revoked(realm: Realm, kind: str, subject: str) -> None:
    async with realm.national.pool.connection() as db:
        await register.revoke(db, kind, subject, "đã thay", datetime.now(UTC))
    await realm.follow()


def signing(node: RealmNode) -> str:
    """The id of the key with which the node's gateway signs."""
    return node.gateway._keys[MemberId(node.member)].keyid


async def test_a_key_changes_three_times_under_load_and_each_old_one_is_revoked(realm: Realm):
    used = []
    async with under_load(realm) as load:
        for member in (PROVINCE, POLICE) * ROUNDS:
            node = realm.nodes[member]
            local, old = node.local, signing(node)
            made = next_key(local.keyring, member, local.directory.snapshot())
            assert public_jwk(next_key(local.keyring, member, local.directory.snapshot())) == public_jwk(made)
            await realm.carry_out(request_of(node, "key", jwk=public_jwk(made), node=local.settings.node))
            assert signing(node) == key_id(public_jwk(made)) != old
            await load.goes_on()
            await revoked(realm, "key", old)
            await load.goes_on()
            used.append(old)

    assert set(load.seen) == {200}
    assert len(set(used)) == 2 * ROUNDS
    for node in realm.nodes[PROVINCE], realm.nodes[POLICE]:
        settings, keyring = node.local.settings, Keyring(node.local.settings.data)
        assert len(key_names(keyring.has, node.member)) == ROUNDS + 1
        restarted = local_keys(settings, keyring)
        renew_keys(restarted, settings, keyring, KeptDirectory(settings).snapshot(), datetime.now(UTC))
        assert restarted[MemberId(node.member)].keyid == signing(node), "a restart signs with the newest one too"


async def test_a_certificate_is_renewed_under_load_and_the_old_one_is_refused_then(realm: Realm):
    async with under_load(realm) as load:
        for member in (POLICE, PROVINCE) * 2:
            node = realm.nodes[member]
            local, old = node.local, await shown_by(node)
            pem = next_certificate(local.settings, local.keyring, local.directory.snapshot())
            await realm.carry_out(request_of(node, "certificate", node=local.settings.node, certificate_pem=pem))
            assert await shown_by(node) == fingerprint(pem) != old
            await load.goes_on()
            await revoked(realm, "certificate", old)
            await load.goes_on()
            assert old not in realm.nodes[POLICE].local.directory.snapshot().node(local.settings.node).tls_sha256

    assert set(load.seen) == {200}
    province, police = realm.nodes[PROVINCE], realm.nodes[POLICE]
    first, *_, newest = held(province.local.settings.data / "keys")
    assert await answers_to(province, police, newest)
    assert not await answers_to(province, police, first), "who shows a certificate that is not listed is nobody"


async def test_a_new_certificate_waits_until_everybody_has_heard_of_it(realm: Realm):
    node = realm.nodes[PROVINCE]
    local, old = node.local, await shown_by(node)
    choice = CertificateChoice(local.settings, local.keyring, ahead_s=120.0)
    pem = next_certificate(local.settings, local.keyring, local.directory.snapshot())
    assert next_certificate(local.settings, local.keyring, local.directory.snapshot()) == pem
    assert fingerprint(choice.own(local.directory.snapshot()).certificate.read_text()) == old
    await realm.carry_out(request_of(node, "certificate", node=local.settings.node, certificate_pem=pem))

    def chosen(now_s: float) -> str:
        return fingerprint(choice.own(local.directory.snapshot(), now_s=now_s).certificate.read_text())

    assert chosen(1000.0) == old
    assert chosen(1119.0) == old
    assert chosen(1121.0) == fingerprint(pem)
    await revoked(realm, "certificate", old)
    assert chosen(1001.0) == fingerprint(pem), "what is left is shown at once"


async def test_a_certificate_is_listed_for_a_node_of_the_asking_member_alone(realm: Realm):
    node, other = realm.nodes[PROVINCE], realm.nodes[POLICE]
    pem = next_certificate(node.local.settings, node.local.keyring, node.local.directory.snapshot())
    for wanted, problem in (
        ({"node": other.local.settings.node, "certificate_pem": pem}, RegistrationRefused),
        ({"node": node.local.settings.node, "certificate_pem": "none"}, RegistrationRefused),
        ({"node": node.local.settings.node}, ChangeRefused),
    ):
        with pytest.raises(problem):
            await realm.carry_out(request_of(node, "certificate", **wanted))


async def shown_by(node: RealmNode) -> str:
    """The fingerprint of what the node's peer listener shows to a newcomer, who has no certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", node.gateway.ports[1], ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return fingerprint(ssl.DER_cert_to_PEM_cert(shown))


async def answers_to(asking: RealmNode, giving: RealmNode, certificate: Path) -> bool:
    """Whether the provider's peer listener takes the link of who shows ``certificate`` for one of a node."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    password = asking.local.keyring.secret("key-password").hex()
    context.load_cert_chain(certificate, certificate.with_suffix(".pem"), password)
    port = giving.gateway.ports[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    head = f"POST /x1/agreements HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
    writer.write(head.encode() + b"{}")
    answer = await reader.read(65536)
    writer.close()
    return b"unknown-peer" not in answer
