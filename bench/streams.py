"""Row "Streamed body 100 MB through both nodes": down (an answer) and up (a request), beside their limit, in one run.

    python bench/streams.py [--megabytes 100] [--rounds 3] [--persons 2000]

Starts the demo country in a folder of its own and puts a back end behind one ministry that sends, and takes, so many
bytes; the city's node calls it.  The limit passes the same bytes through two processes of blocking sockets: the first
hashes them and sends them over mutual TLS 1.3, the second hashes them again and hands them on; no HTTP, no records.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from limit_nodes import make_certificate
from nodes import add_http_service, gateway_pids, site_of

from lienthong.demo.country import HAI_PHONG, ONE_STOP, ONE_STOP_SYSTEM
from lienthong.demo.run import Demo
from lienthong.directory.models import ServiceId
from lienthong.verify import verify_receipt

MAPS = ServiceId("VN/GOV/G01/dancu/bigmaps")
PIECE = os.urandom(262_144)


def main() -> None:
    """Start, measure, stop; or be one of the limit's processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--persons", type=int, default=2_000)
    parser.add_argument("--role", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.role:
        play(json.loads(chosen.role))
        return
    size = chosen.megabytes * 1024 * 1024 // len(PIECE) * len(PIECE)
    folder = Path(tempfile.mkdtemp(prefix="lt-bench-"))
    country = Demo(folder, chosen.persons, 0, "en", lambda receipt: verify_receipt(receipt).ok, quiet=True)
    try:
        country.start()
        with processes(folder, size) as ports:
            asyncio.run(add_http_service(country, MAPS, ports["back"]))
            measure(country, ports, size, chosen.rounds)
    finally:
        country.stop()
        shutil.rmtree(folder, ignore_errors=True)
        os.sync()


def measure(country: Demo, ports: dict[str, int], size: int, rounds: int) -> None:
    """Interleaved rounds; prints the table."""
    port = site_of(country, HAI_PHONG).settings.client_port
    gateways = gateway_pids(country)
    taken: dict[str, list[float]] = {}
    for way in ("down", "up"):
        called(port, way, size)
    before = {name: peak_kb(pid) for name, pid in gateways.items()}
    for _ in range(rounds):
        taken.setdefault("limit", []).append(limit(ports["consumer"], size))
        for way in ("down", "up"):
            taken.setdefault(way, []).append(called(port, way, size))
    grown = max(peak_kb(pid) - before[name] for name, pid in gateways.items()) / 1024
    base = statistics.median(taken["limit"])
    print(f"\n### {size // 1024 // 1024} MB through both nodes\n")
    print("| what | MB/s (min-max) | of the limit |")
    print("|---|---|---|")
    for what, seconds in taken.items():
        rates = sorted(size / 1e6 / each for each in seconds)
        share = base / statistics.median(seconds)
        print(f"| {what} | {statistics.median(rates):.0f} ({rates[0]:.0f}-{rates[-1]:.0f}) | {share:.2f} |")
    print(f"\nmost memory of a gateway grew by {grown:.1f} MB over the {rounds} rounds after a first one")


def called(port: int, way: str, size: int) -> float:
    """Seconds of one call through both nodes, from its first byte to its last."""
    head = [
        f"X-Road-Client: {ONE_STOP_SYSTEM}", f"Lienthong-Purpose: {ONE_STOP}", "Host: x", "Connection: close",
        "Content-Type: application/octet-stream",
    ]  # fmt: skip
    method = "GET"
    if way == "up":
        method, head = "POST", [*head, f"Content-Length: {size}"]
    begin = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall("\r\n".join([f"{method} /r1/{MAPS} HTTP/1.1", *head, "", ""]).encode())
        if way == "up":
            for _ in range(size // len(PIECE)):
                link.sendall(PIECE)
        got = read_all(link)
    seconds = time.perf_counter() - begin
    answer, _, rest = got[1].partition(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 200") or (way == "down" and got[0] < size):
        raise SystemExit(f"the call failed: {answer[:300]!r} {rest[:300]!r}")
    return seconds


def limit(port: int, size: int) -> float:
    """Seconds for the same bytes through the limit's two processes."""
    begin = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as link:
        if read_all(link)[0] != size:
            raise SystemExit("the limit's processes lost bytes")
    return time.perf_counter() - begin


def read_all(link: socket.socket) -> tuple[int, bytes]:
    """How many bytes came until the end, and the first of them."""
    got, first, room = 0, b"", bytearray(1 << 20)
    while count := link.recv_into(room):
        if len(first) < 4_096:
            first += bytes(room[: min(count, 4_096)])
        got += count
    return got, first


def peak_kb(pid: int) -> int:
    """The most memory that a process ever held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


# -- the back end and the limit


@contextlib.contextmanager
def processes(folder: Path, size: int) -> Iterator[dict[str, int]]:
    """The back end and the limit's two processes; their ports."""
    ports: dict[str, int] = {}
    for name in ("provider", "consumer"):
        make_certificate(folder, name)
    started: list[subprocess.Popen[str]] = []
    try:
        for role in ("back", "provider", "consumer"):
            order = json.dumps({"role": role, "folder": str(folder), "ports": ports, "size": size})
            process = subprocess.Popen([sys.executable, __file__, "--role", order], stdout=subprocess.PIPE, text=True)
            started.append(process)
            assert process.stdout is not None
            ports[role] = int(process.stdout.readline())
        yield ports
    finally:
        for process in started:
            process.terminate()
            process.wait()


def play(order: dict) -> None:
    """Listen as one of the roles until ended."""
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    serve = {"back": back_end, "provider": sender, "consumer": passer}[order["role"]]
    while True:
        link, _ = listening.accept()
        threading.Thread(target=serve, args=(link, order), daemon=True).start()


def back_end(link: socket.socket, order: dict) -> None:
    """One HTTP request on a connection: sends the bytes, or takes them."""
    with link:
        head = b""
        while b"\r\n\r\n" not in head:
            head += link.recv(65_536)
        first, _, rest = head.partition(b"\r\n\r\n")
        if first.startswith(b"GET"):
            link.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/octet-stream\r\n")
            link.sendall(b"content-length: %d\r\n\r\n" % order["size"])
            for _ in range(order["size"] // len(PIECE)):
                link.sendall(PIECE)
            return
        got, room = len(rest), bytearray(1 << 20)
        while got < order["size"]:
            got += link.recv_into(room)
        link.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")


def sender(link: socket.socket, order: dict) -> None:
    """The provider of the limit: takes the bytes from the back end, hashes them, sends them over TLS."""
    folder = Path(order["folder"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.verify_mode = ssl.TLSVersion.TLSv1_3, ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_cert_chain(folder / "provider.crt", folder / "provider.key")
    context.load_verify_locations(folder / "consumer.crt")
    with context.wrap_socket(link, server_side=True) as out, _asked(order["ports"]["back"]) as source:
        relay(source, out, order["size"])


def passer(link: socket.socket, order: dict) -> None:
    """The consumer of the limit: takes the bytes over TLS, hashes them, hands them on."""
    folder = Path(order["folder"])
    context = ssl.create_default_context(cafile=str(folder / "provider.crt"))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_cert_chain(folder / "consumer.crt", folder / "consumer.key")
    plain = socket.create_connection(("127.0.0.1", order["ports"]["provider"]))
    with link, context.wrap_socket(plain) as source:
        relay(source, link, order["size"])


def _asked(port: int) -> socket.socket:
    source = socket.create_connection(("127.0.0.1", port))
    source.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        head += source.recv(1)
    return source


def relay(source: socket.socket, out: socket.socket, size: int) -> None:
    """Pass ``size`` bytes on, hashing them."""
    digest, room, left = hashlib.sha256(), memoryview(bytearray(262_144)), size
    while left and (count := source.recv_into(room)):
        digest.update(room[:count])
        out.sendall(room[:count])
        left -= count


if __name__ == "__main__":
    main()
