"""Servers that say exactly the bytes a test wants, and certificates made on the spot."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lienthong.exchange.client import Origin

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A self-signed certificate on disk."""

    certificate: Path
    key: Path
    pem: str
    fingerprint: str


def make_certificate(folder: Path, name: str, *, days: float = 1) -> Certificate:
    """A certificate for ``name`` that began an hour ago and ends in ``days`` days."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    path, key_path = folder / f"{name}.crt", folder / f"{name}.pem"
    path.write_bytes(pem)
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    digest = hashlib.sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest()
    return Certificate(path, key_path, pem.decode(), digest)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One request, head and body, as it came over the wire; empty when the link closed."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    for line in head.split(b"\r\n"):
        if line.startswith(b"content-length: "):
            return head + await reader.readexactly(int(line[16:]))
    return head


@asynccontextmanager
async def scripted(script: Script, server_tls: ssl.SSLContext | None = None, **origin: object) -> AsyncIterator[Origin]:
    """A server on a free loopback port that runs ``script`` for each connection."""
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            running.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Origin("127.0.0.1", port, **origin)  # type: ignore[arg-type]
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await server.wait_closed()
        await asyncio.gather(*running, return_exceptions=True)


def saying(*answers: bytes, then_close: bool = False) -> Script:
    """For each request in turn, the next of ``answers``; the last is repeated."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turn = 0
        while await read_request(reader):
            writer.write(answers[min(turn, len(answers) - 1)])
            await writer.drain()
            turn += 1
            if then_close:
                return

    return script


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server that shows ``certificate`` and asks for none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
