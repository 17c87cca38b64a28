"""The limit of a signed call: what the same two hops cost with nothing of ours in the way.

    python bench/limit_nodes.py [--seconds 3] [--rounds 3] [--clients 8 32 64] [--stack limit own]

Three processes as in a real call: consumer -> (mutual TLS 1.3) -> provider -> echo back end.  ``limit`` is uvicorn and
aiohttp, by definition; ``own`` is our listener and our client, still without signatures, records or policy: what lies
between the two is the plumbing's gain, what lies between ``own`` and a real call is what the product itself costs.
Stacks are run in turn within each round; medians are printed.  ``bench/call.py`` starts the limit beside the nodes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from load import Load, request_bytes, run_load

HERE = Path(__file__).resolve()
STACKS = ("limit", "own")
BODY_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Running:
    """Two hops and an echo, as processes."""

    port: int
    pids: dict[str, int]
    echo_port: int
    """Where the back end listens, for others to use it beside."""


@contextlib.contextmanager
def running(stack: str) -> Iterator[Running]:
    """Start the three processes of ``stack``; they end with the block."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ends:
        for name in ("consumer", "provider"):
            make_certificate(Path(folder), name)
        ports = {role: _free_port() for role in ("consumer", "provider", "echo")}
        order = json.dumps({"folder": folder, "ports": ports, "stack": stack})
        pids: dict[str, int] = {}
        for role in ("echo", "provider", "consumer"):
            process = subprocess.Popen([sys.executable, str(HERE), "--role", role, "--order", order])
            ends.callback(_end, process)
            pids[role] = process.pid
        for port in ports.values():
            _wait_for(port)
        yield Running(ports["consumer"], pids, ports["echo"])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if datetime.now(UTC) > deadline:
                raise


def make_certificate(folder: Path, name: str) -> None:
    """A key and a certificate signed by itself, as ``<name>.key`` and ``<name>.crt`` in ``folder``."""
    from cryptography import x509  # only the process that starts the others needs it
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


# -- the roles


def play(role: str, order: dict[str, Any]) -> None:
    """Be one of the three processes until it is ended."""
    import uvloop

    folder, ports = Path(order["folder"]), order["ports"]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if role == "echo":
            runner.run(_echo(ports["echo"]))
        elif order["stack"] == "own":
            runner.run(_own(role, folder, ports))
        else:
            runner.run(_limit(role, folder, ports))


class _Echo(asyncio.Protocol):
    """Answers each request with its body; just enough HTTP for a keep-alive client with Content-Length."""

    def __init__(self) -> None:
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self._transport.write(  # type: ignore[attr-defined]
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (length, body)
            )


async def _echo(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Echo, "127.0.0.1", port)
    await server.serve_forever()


async def _limit(role: str, folder: Path, ports: dict[str, int]) -> None:
    """uvicorn in front, aiohttp behind, mutual TLS between the two nodes."""
    import aiohttp
    import uvicorn

    if role == "consumer":
        context = ssl.create_default_context(cafile=str(folder / "provider.crt"))
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_cert_chain(folder / "consumer.crt", folder / "consumer.key")
        url, more = f"https://127.0.0.1:{ports['provider']}", {"ssl": context}
    else:
        url, more = f"http://127.0.0.1:{ports['echo']}", {}
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, **more), auto_decompress=False)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {"content-type": "application/json"}
        async with session.request(scope["method"], url + scope["path"], data=body, headers=headers) as answer:
            answered = await answer.read()
            fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answered))]
            await send({"type": "http.response.start", "status": answer.status, "headers": fields})
            await send({"type": "http.response.body", "body": answered})

    tls: dict[str, Any] = {}
    if role == "provider":
        tls = {
            "ssl_certfile": str(folder / "provider.crt"),
            "ssl_keyfile": str(folder / "provider.key"),
            "ssl_ca_certs": str(folder / "consumer.crt"),
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
        }
    config = uvicorn.Config(
        app, port=ports[role], log_level="error", access_log=False, lifespan="off", ws="none", http="httptools", **tls
    )
    config.load()
    if config.ssl is not None:
        config.ssl.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    await uvicorn.Server(config).serve()


async def _own(role: str, folder: Path, ports: dict[str, int]) -> None:
    """Our listener in front, our client behind, pinned mutual TLS between the two nodes."""
    import hashlib

    from lienthong.exchange.client import HttpClient, Origin
    from lienthong.exchange.listen import read_body, serve_app
    from lienthong.exchange.peer import OwnCertificate, PeerOrigins, PeerTrust

    own = OwnCertificate(folder / f"{role}.crt", folder / f"{role}.key")
    client, tls = HttpClient(), None
    if role == "consumer":
        pem = (folder / "provider.crt").read_text()
        pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
        origin = PeerOrigins(own, [pem]).origin(f"https://127.0.0.1:{ports['provider']}", [pin])
    else:
        tls = PeerTrust(own, [(folder / "consumer.crt").read_text()]).context
        origin = Origin("127.0.0.1", ports["echo"])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = await read_body(receive, 1_048_576)
        headers = [(b"content-type", b"application/json")]
        target = scope["state"]["target"]
        answer = await client.request(origin, scope["method"], target, headers, body, deadline_s=30, max_body=1_048_576)
        fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer.body))]
        await send({"type": "http.response.start", "status": answer.status, "headers": fields})
        await send({"type": "http.response.body", "body": answer.body})

    listener = await serve_app(app, "127.0.0.1", ports[role], tls=tls)
    try:
        await asyncio.Event().wait()
    finally:
        await listener.stop(1)


# -- the comparison


def compare(stacks: list[str], clients: list[int], seconds: float, rounds: int) -> dict[tuple[str, int], list[Load]]:
    """Every stack and number of clients, ``rounds`` times, in turn."""
    measured: dict[tuple[str, int], list[Load]] = {}
    request = request_bytes("/x", BODY_BYTES)
    with contextlib.ExitStack() as started:
        nodes = {stack: started.enter_context(running(stack)) for stack in stacks}
        for stack in stacks:
            run_load(nodes[stack].port, request, clients=8, seconds=0.5, pids={})
        for _ in range(rounds):
            for count in clients:
                for stack in stacks:
                    got = run_load(nodes[stack].port, request, clients=count, seconds=seconds, pids=nodes[stack].pids)
                    measured.setdefault((stack, count), []).append(got)
    return measured


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="+", default=[8, 32, 64])
    parser.add_argument("--stack", nargs="+", choices=STACKS, default=list(STACKS))
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--order", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role:
        with contextlib.suppress(KeyboardInterrupt):
            play(given.role, json.loads(given.order))
        return
    print("stack   clients    req/s   p50 ms   p99 ms   CPU us a call: consumer provider echo all   not 200")
    for (stack, count), loads in compare(given.stack, given.clients, given.seconds, given.rounds).items():
        mid = {key: statistics.median(load.cpu_us[key] for load in loads) for key in loads[0].cpu_us}
        bad = sum(n for load in loads for status, n in load.statuses.items() if status != "200")
        print(
            f"{stack:7} {count:7} {statistics.median(x.per_second for x in loads):8.0f}"
            f" {statistics.median(x.p50_ms for x in loads):8.1f} {statistics.median(x.p99_ms for x in loads):8.1f}"
            f" {mid['consumer']:24.0f} {mid['provider']:8.0f} {mid['echo']:4.0f} {mid['all']:4.0f} {bad:8}"
        )


if __name__ == "__main__":
    main()
