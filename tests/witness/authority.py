"""A time-stamping authority of our own: OpenSSL behind a small HTTP server on a loopback port."""

from __future__ import annotations

import http.server
import subprocess
import tempfile
import threading
from pathlib import Path

CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[tsa_cert]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
[root_cert]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
[tsa]
default_tsa = tsa1
[tsa1]
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


def openssl(*arguments: str | Path) -> bytes:
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=True).stdout


class Authority:
    """Makes root and signer in ``folder`` and answers queries; ``reply`` may be replaced by a liar's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.root = folder / "root.pem"
        config = folder / "config"
        config.write_text(CONFIG.format(name="Giờ giả lập", folder=folder).replace("Giờ giả lập", "Test time"))
        (folder / "serial").write_text("01\n")
        for key in ("root", "tsa"):
            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / f"{key}.key")
        openssl(
            "req",
            "-x509",
            "-new",
            "-key",
            folder / "root.key",
            "-out",
            self.root,
            "-days",
            "30",
            "-config",
            config,
            "-extensions",
            "root_cert",
        )
        openssl(
            "req",
            "-new",
            "-key",
            folder / "tsa.key",
            "-out",
            folder / "tsa.csr",
            "-config",
            config,
            "-subj",
            "/CN=Test TSA",
        )
        openssl(
            "x509",
            "-req",
            "-in",
            folder / "tsa.csr",
            "-CA",
            self.root,
            "-CAkey",
            folder / "root.key",
            "-out",
            folder / "tsa.pem",
            "-days",
            "30",
            "-CAcreateserial",
            "-extfile",
            config,
            "-extensions",
            "tsa_cert",
        )
        self.queries: list[bytes] = []
        authority = self

        class Door(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                authority.queries.append(query)
                assert self.headers["Content-Type"] == "application/timestamp-query"
                answer = authority.reply(query)
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reply(self, query: bytes) -> bytes:
        with tempfile.TemporaryDirectory() as place:
            asked = Path(place) / "query.tsq"
            asked.write_bytes(query)
            openssl(
                "ts",
                "-reply",
                "-config",
                self.folder / "config",
                "-section",
                "tsa1",
                "-queryfile",
                asked,
                "-inkey",
                self.folder / "tsa.key",
                "-signer",
                self.folder / "tsa.pem",
                "-out",
                Path(place) / "reply.tsr",
            )
            return (Path(place) / "reply.tsr").read_bytes()

    def verifies(self, token: bytes, data: bytes) -> bool:
        """What ``openssl ts -verify`` says."""
        with tempfile.TemporaryDirectory() as place:
            (Path(place) / "reply.tsr").write_bytes(token)
            (Path(place) / "data").write_bytes(data)
            done = subprocess.run(
                [
                    "openssl",
                    "ts",
                    "-verify",
                    "-data",
                    f"{place}/data",
                    "-in",
                    f"{place}/reply.tsr",
                    "-CAfile",
                    str(self.root),
                ],
                capture_output=True,
                check=False,
            )
            return done.returncode == 0

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
