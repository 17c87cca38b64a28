"""Mutual TLS between nodes: who gets in, as whom, and how trust changes while links are open."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lienthong.errors import Problem
from lienthong.exchange.answer import Answer
from lienthong.exchange.client import HttpClient
from lienthong.exchange.peer import OwnCertificate, PeerOrigins, PeerTrust
from tests.exchange.listening import Seen, exchange, listening, statuses
from tests.exchange.scripted import Certificate, make_certificate

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def own(certificate: Certificate) -> OwnCertificate:
    return OwnCertificate(certificate.certificate, certificate.key)


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient()
    yield made
    await made.close()


async def call(client: HttpClient, origins: PeerOrigins, port: int, *pins: str) -> Answer:
    origin = origins.origin(f"https://127.0.0.1:{port}", pins)
    return await client.request(origin, "GET", b"/", [], deadline_s=10, max_body=1000)


async def test_a_known_peer_is_served_and_its_fingerprint_handed_over(client: HttpClient, tmp_path: Path) -> None:
    a, b = make_certificate(tmp_path, "a"), make_certificate(tmp_path, "b")
    seen = Seen()
    async with listening(seen, tls=PeerTrust(own(b), [a.pem]).context) as listener:
        answer = await call(client, PeerOrigins(own(a), [b.pem]), listener.port, b.fingerprint)
        await call(client, PeerOrigins(own(a), [b.pem]), listener.port, b.fingerprint)
    assert answer.status == 200
    assert seen.peers == [a.fingerprint, a.fingerprint]


@pytest.mark.parametrize("who", ["stranger", "expired"])
async def test_a_peer_whose_certificate_is_not_good_gets_in_nowhere(
    client: HttpClient, tmp_path: Path, who: str
) -> None:
    a, b = make_certificate(tmp_path, "a"), make_certificate(tmp_path, "b")
    other = make_certificate(tmp_path, "other", days=1 if who == "stranger" else -0.01)
    trusted = [a.pem] if who == "stranger" else [a.pem, other.pem]
    seen = Seen()
    async with listening(seen, tls=PeerTrust(own(b), trusted).context) as listener:
        with pytest.raises(Problem) as refused:
            await call(client, PeerOrigins(own(other), [b.pem]), listener.port, b.fingerprint)
    assert refused.value.kind == "peer-closed-after-handshake"
    assert seen.peers == []


def trusting(certificate: Certificate) -> ssl.SSLContext:
    """What a program that is no node brings: no certificate of its own."""
    context = ssl.create_default_context(cadata=certificate.pem)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


async def test_nobody_gets_in_without_a_certificate_or_with_an_older_tls(tmp_path: Path) -> None:
    a, b = make_certificate(tmp_path, "a"), make_certificate(tmp_path, "b")
    nobody, old, good = trusting(b), trusting(b), trusting(b)
    old.load_cert_chain(a.certificate, a.key)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    good.load_cert_chain(a.certificate, a.key)
    seen = Seen()
    async with listening(seen, tls=PeerTrust(own(b), [a.pem]).context) as listener:
        for context in (nobody, old):
            assert statuses(await exchange(listener.port, GET, tls=context)) == []
        assert statuses(await exchange(listener.port, GET, answers=1, tls=good)) == [200]
    assert seen.peers == [a.fingerprint]


async def test_a_server_with_another_certificate_than_pinned_gets_no_request(
    client: HttpClient, tmp_path: Path
) -> None:
    a, b, c = (make_certificate(tmp_path, name) for name in "abc")
    seen = Seen()
    async with listening(seen, tls=PeerTrust(own(b), [a.pem]).context) as listener:
        with pytest.raises(Problem) as wrong_pin:
            await call(client, PeerOrigins(own(a), [b.pem, c.pem]), listener.port, c.fingerprint)
        with pytest.raises(Problem) as not_trusted:
            await call(client, PeerOrigins(own(a), [c.pem]), listener.port, b.fingerprint)
    assert wrong_pin.value.kind == not_trusted.value.kind == "peer-certificate"
    assert seen.peers == []


async def test_trust_is_renewed_without_a_restart(client: HttpClient, tmp_path: Path) -> None:
    a, b, c, newer = (make_certificate(tmp_path, name) for name in ("a", "b", "c", "newer"))
    seen = Seen()
    trust = PeerTrust(own(b), [a.pem])
    from_a, from_c = PeerOrigins(own(a), [b.pem, newer.pem]), PeerOrigins(own(c), [b.pem, newer.pem])
    async with listening(seen, tls=trust.context) as listener:
        await call(client, from_a, listener.port, b.fingerprint)
        with pytest.raises(Problem):
            await call(client, from_c, listener.port, b.fingerprint)

        trust.renew(own(newer), [c.pem])

        await call(client, from_c, listener.port, newer.fingerprint)
        await call(
            client, from_a, listener.port, b.fingerprint
        )  # an open link goes on: the directory decides a request
        fresh = HttpClient()
        with pytest.raises(Problem) as refused:
            await call(fresh, from_a, listener.port, newer.fingerprint)
        await fresh.close()
    assert refused.value.kind == "peer-closed-after-handshake"
    assert seen.peers == [a.fingerprint, c.fingerprint, a.fingerprint]


async def test_a_node_that_shows_a_new_certificate_uses_new_links(client: HttpClient, tmp_path: Path) -> None:
    a, b, newer = (make_certificate(tmp_path, name) for name in ("a", "b", "newer"))
    seen = Seen()
    origins = PeerOrigins(own(a), [b.pem])
    async with listening(seen, tls=PeerTrust(own(b), [a.pem, newer.pem]).context) as listener:
        await call(client, origins, listener.port, b.fingerprint)
        origins.renew(own(newer), [b.pem])
        await call(client, origins, listener.port, b.fingerprint)
    assert seen.peers == [a.fingerprint, newer.fingerprint]


async def test_a_listener_may_ask_for_a_certificate_without_needing_one(client: HttpClient, tmp_path: Path) -> None:
    a, b = make_certificate(tmp_path, "a"), make_certificate(tmp_path, "b")
    seen = Seen()
    async with listening(seen, tls=PeerTrust(own(b), [a.pem], certificate_needed=False).context) as listener:
        await call(client, PeerOrigins(own(a), [b.pem]), listener.port, b.fingerprint)
        answer = await exchange(listener.port, GET, answers=1, tls=trusting(b))
    assert statuses(answer) == [200]
    assert seen.peers == [a.fingerprint, None]


async def test_malformed_requests_are_refused_over_tls_as_well(tmp_path: Path) -> None:
    a, b = make_certificate(tmp_path, "a"), make_certificate(tmp_path, "b")
    context = trusting(b)
    context.load_cert_chain(a.certificate, a.key)
    seen = Seen()
    async with listening(seen, tls=PeerTrust(own(b), [a.pem]).context) as listener:
        answer = await exchange(listener.port, b"GET / HTTP/1.1\r\n\r\n", tls=context)
    assert statuses(answer) == [400]
    assert seen.peers == []


@pytest.mark.parametrize(
    ("url", "pins"),
    [("http://a:5500", ["00"]), ("https://a:5500", []), ("https://a:5500/x", ["00"]), ("https://", ["00"])],
)
def test_an_address_that_is_no_pinned_peer_is_an_error(tmp_path: Path, url: str, pins: list[str]) -> None:
    a = make_certificate(tmp_path, "a")
    with pytest.raises(ValueError, match=r"pinned|peer listener"):
        PeerOrigins(own(a), []).origin(url, pins)
