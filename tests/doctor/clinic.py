"""A node in order, with another node and a national node that answer, in which faults can be planted and undone."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import AsyncConnection

from lienthong.agreements.keeping import keep_agreement
from lienthong.agreements.signing import MemberSigner
from lienthong.directory.document import Contents, write_directory
from lienthong.directory.follow import KEPT
from lienthong.doctor.examine import examine
from lienthong.doctor.models import Fault
from lienthong.exchange.listen import serve_app
from lienthong.node.certificates import tls_files
from lienthong.node.local import Local, open_local
from lienthong.node.supervise import write_dsns
from lienthong.storage.keyring import Keyring
from lienthong.storage.objects import ObjectStore
from lienthong.trust.documents import sign_document
from lienthong.trust.keys import generate_es256, key_id, public_jwk
from tests.agreements.build import an_agreement
from tests.node_pages.country import a_contents, citizen_terms
from tests.use.conftest import PEOPLE, the_service
from tests.use.nodes import POLICE, PROVINCE, free_port, publish, settings_of

SUPERUSER = "superuser"
TOML = """
node = "{node}"
data = "{data}"
members = ["VN/GOV/G01"]
database = "{database}"
database_name = "{name}"
public_port = {public}
client_port = {client}
peer_host = "127.0.0.1"
peer_port = {peer}
peer_url = "{peer_url}"
directory_url = "{url}"
directory_anchor = "{anchor}"
[[clients]]
system = "{system}"
"""


class Background:
    """An event loop in a thread, for what others serve."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@dataclass
class Clinic:
    """The patient's folder and configuration as one test may spoil them; the rest is shared."""

    folder: Path
    values: dict[str, object]
    contents: Contents
    key: Any
    offered: dict[str, object]
    """What the national node answers: ``status`` and ``envelope``."""
    dsn: str
    """Of the owner of the patient's tables."""
    superuser: str
    """Of the server's superuser, in the patient's database."""
    background: Background
    other: Local
    now: datetime
    """The patient's clock."""

    @property
    def data(self) -> Path:
        return Path(str(self.values["data"]))

    @property
    def config(self) -> Path:
        path = self.folder / "node.toml"
        path.write_text(TOML.format(**self.values))
        return path

    def look(self) -> list[Fault]:
        return asyncio.run(examine(self.config, now=self.now, patience_s=1.0))

    def found(self) -> set[str]:
        return {fault.name for fault in self.look()}

    def sign(self, contents: Contents, *, version: int = 1, issued: datetime | None = None, key=None) -> bytes:
        issued, key = issued or datetime.now(UTC), key or self.key
        document = write_directory(contents, version=version, issued=issued, expires=issued + timedelta(hours=24))
        return sign_document(document, key, key_id(public_jwk(key)))

    def publish(self, contents: Contents, **options) -> None:
        """The patient keeps, and the national node offers, a directory with ``contents``."""
        envelope = self.sign(contents, **options)
        ObjectStore(self.data).put(KEPT, envelope)
        self.offered["envelope"] = envelope

    def sql(self, *statements: str, superuser: bool = False) -> None:
        with psycopg.connect(self.superuser if superuser else self.dsn, autocommit=True) as db:
            for statement in statements:
                db.execute(statement)

    @contextlib.contextmanager
    def planted(self, plant: str, undo: str, **options) -> Iterator[None]:
        self.sql(plant, **options)
        try:
            yield
        finally:
            self.sql(undo, **options)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Another process holds the data folder, as the supervisor does."""
        hold = (
            "import os, fcntl, sys; f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600);"
            "os.lockf(f, os.F_TLOCK, 0); print('held', flush=True); sys.stdin.read()"
        )
        command = [sys.executable, "-c", hold, str(self.data / "serving.lock")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout.readline() == "held\n"
            yield
            holder.stdin.close()

    @contextlib.contextmanager
    def listening(self, answer=None, port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[int]:
        """A server in the background; ``answer`` takes reader and writer."""

        async def close(_, writer) -> None:
            writer.close()

        server = self.background.run(asyncio.start_server(answer or close, "127.0.0.1", port, ssl=tls))
        try:
            yield server.sockets[0].getsockname()[1]
        finally:

            async def stop() -> None:
                server.close()

            self.background.run(stop())


def tls_of(local: Local) -> ssl.SSLContext:
    """The TLS of a node's peer listener, open to everybody."""
    file, key, password = tls_files(local.settings, local.keyring)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key, password)
    return context


async def _stock(local: Local, contents: Contents, other: Local) -> None:
    """A published table and the agreement about it."""
    async with await AsyncConnection.connect(local.dsns.app) as db:
        await the_service(db, local.dsns.owner)
        agreement = an_agreement(**citizen_terms())
        jws = []
        for owner, member in ((local, POLICE), (other, PROVINCE)):
            key = owner.keyring.es256(member)
            jws.append(MemberSigner(member, key_id(public_jwk(key)), key).sign(agreement.document))
        await keep_agreement(db, agreement, provider_jws=jws[0], consumer_jws=jws[1], now=datetime.now(UTC))


@contextlib.contextmanager
def open_clinic(dsns, superuser_dsn, folder: Path) -> Iterator[Clinic]:
    """Everything in order."""
    background = Background()
    public, offered = free_port(), {"status": 200, "envelope": b""}

    async def national(scope, receive, send):
        at_home = scope["state"]["target"] == b"/directory/current"
        body = offered["envelope"] if at_home else b"{}"
        head = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": offered["status"] if at_home else 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    async def serve():
        return await serve_app(national, "127.0.0.1", public)

    listener = background.run(serve())

    async def open_both() -> list[Local]:
        opened = []
        for each, (node, member) in zip(dsns, (("nut-h24", PROVINCE), ("nut-g01", POLICE)), strict=True):
            settings = replace(
                settings_of(node, member, folder, free_port()), public_url=f"http://127.0.0.1:{public}",
            )  # fmt: skip
            Keyring(settings.data)
            write_dsns(settings, each)
            opened.append(await open_local(settings))
        return opened

    other, patient = background.run(open_both())
    key, contents = generate_es256(), a_contents((other, patient))
    publish([other, patient], contents, folder, key)
    offered["envelope"] = ObjectStore(patient.settings.data).get(KEPT)
    with psycopg.connect(patient.dsns.owner, autocommit=True) as source:
        source.execute(PEOPLE)
    background.run(_stock(patient, contents, other))
    (folder / "pristine").mkdir()
    shutil.copytree(patient.settings.data, folder / "pristine" / "data")
    values = {
        "node": "nut-g01", "data": folder / "data", "database": superuser_dsn, "public": free_port(),
        "client": free_port(), "peer": patient.settings.peer_port, "peer_url": patient.settings.peer_url,
        "url": f"http://127.0.0.1:{public}/directory/current", "anchor": folder / "anchor.json",
        "system": "VN/GOV/G01/dancu", "name": patient.dsns.app.split("?")[0].rsplit("/", 1)[1],
    }  # fmt: skip
    clinic = Clinic(
        folder, values, contents, key, offered, patient.dsns.owner, superuser_dsn, background, other, datetime.now(UTC)
    )
    with clinic.listening(port=other.settings.peer_port, tls=tls_of(other)):
        yield clinic

    async def close() -> None:
        await listener.stop(1.0)
        for local in (other, patient):
            await local.pool.close()

    background.run(close())
    background.end()


@contextlib.contextmanager
def fresh(clinic: Clinic) -> Iterator[Clinic]:
    """The clinic with an unspoilt folder, configuration, clock and national node."""
    shutil.rmtree(clinic.folder / "data", ignore_errors=True)
    shutil.copytree(clinic.folder / "pristine" / "data", clinic.folder / "data")
    values, offered, anchor = dict(clinic.values), dict(clinic.offered), (clinic.folder / "anchor.json").read_bytes()
    clinic.now = datetime.now(UTC)
    try:
        yield clinic
    finally:
        clinic.values, _ = values, clinic.offered.update(offered)
        (clinic.folder / "anchor.json").write_bytes(anchor)
        if clinic.data.exists():
            clinic.data.chmod(0o700)
