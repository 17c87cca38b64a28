"""A time-stamping authority (RFC 3161) for the demo: OpenSSL behind a small HTTP server on a loopback port.

Nobody but the demo trusts it: its root is made anew for each demo's folder.  ``python -m lienthong.demo.authority
FOLDER PORT`` serves what ``make_authority`` has laid down.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

ROOT_FILE: Final = "root.pem"
MODULE: Final = "lienthong.demo.authority"
MOST_QUERY_BYTES: Final = 65_536
_CONFIG: Final = """
[req]
distinguished_name = name
prompt = no
[name]
CN = Demo time (synthetic)
[signer]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
[root]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
[tsa]
default_tsa = demo
[demo]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""
_YEARS: Final = "3650"


def make_authority(folder: Path) -> None:
    """Root, signer and settings of an authority in ``folder``, once.  Raises OSError without the program openssl."""
    if (folder / "tsa.pem").exists():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    config, root = folder / "config", folder / ROOT_FILE
    config.write_text(_CONFIG.format(folder=folder))
    (folder / "serial").write_text("01\n")
    for key in ("root", "tsa"):
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / f"{key}.key")
    with_root = ("-days", _YEARS, "-config", config, "-extensions", "root")
    _openssl("req", "-x509", "-new", "-key", folder / "root.key", "-out", root, *with_root)
    asked = ("-key", folder / "tsa.key", "-out", folder / "tsa.csr", "-config", config, "-subj", "/CN=Demo TSA")
    _openssl("req", "-new", *asked)
    by_root = ("-CA", root, "-CAkey", folder / "root.key", "-CAcreateserial", "-days", _YEARS)
    _openssl("x509", "-req", "-in", folder / "tsa.csr", "-out", folder / "tsa.pem", *by_root,
             "-extfile", config, "-extensions", "signer")  # fmt: skip


def serve(folder: Path, port: int) -> ThreadingHTTPServer:
    """The authority's door on loopback, not yet running; port 0 takes a free one."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server names it so
            query = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), MOST_QUERY_BYTES))
            try:
                answer, status = _reply(folder, query), 200
            except subprocess.CalledProcessError:
                answer, status = b"", 400
            with suppress(ConnectionError):  # who asked may not have waited
                self.send_response(status)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    return ThreadingHTTPServer(("127.0.0.1", port), Door)


def _reply(folder: Path, query: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as place:
        asked, reply = Path(place) / "query.tsq", Path(place) / "reply.tsr"
        asked.write_bytes(query)
        _openssl("ts", "-reply", "-config", folder / "config", "-section", "demo", "-queryfile", asked,
                 "-inkey", folder / "tsa.key", "-signer", folder / "tsa.pem", "-out", reply)  # fmt: skip
        return reply.read_bytes()


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2])).serve_forever()
