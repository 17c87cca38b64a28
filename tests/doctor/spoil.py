"""How one thing of the clinic is made wrong: certificates, directories, tables, a log."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from psycopg import AsyncConnection

from lienthong.access.sequence import Sequencer
from lienthong.catalog.models import Field, HttpSource, Service
from lienthong.catalog.queries import store_service
from lienthong.directory.models import ServiceId
from lienthong.node.local import open_local
from lienthong.node.prepare import LOG_KEY
from lienthong.storage.keyring import Keyring
from tests.doctor.clinic import Clinic, tls_of


def of_member(clinic: Clinic, **changes):
    """The directory with another entry for the patient's member."""
    members = tuple(
        replace(member, **changes) if member.id == "VN/GOV/G01" else member for member in clinic.contents.members
    )
    return replace(clinic.contents, members=members)


def other_at(clinic: Clinic, url: str) -> None:
    """The directory with the other node at another address."""
    nodes = tuple(replace(node, peer_url=url) if node.id == "nut-h24" else node for node in clinic.contents.nodes)
    clinic.publish(replace(clinic.contents, nodes=nodes), version=2)


def a_proxy(clinic: Clinic):
    """TLS with a certificate that no directory lists."""
    settings = replace(clinic.other.settings, data=clinic.folder / "proxy")
    return tls_of(replace(clinic.other, settings=settings, keyring=Keyring(settings.data)))


def certificate(clinic: Clinic, ends: datetime, key=None) -> None:
    """Another certificate for the node, by default of its own key."""
    path = clinic.data / "keys" / "node-tls.crt"
    key = key or Keyring(clinic.data).es256("node-tls")
    old = x509.load_pem_x509_certificate(path.read_bytes())
    made = (
        x509.CertificateBuilder().subject_name(old.subject).issuer_name(old.issuer).public_key(key.public_key())
        .serial_number(9).not_valid_before(ends - timedelta(days=400)).not_valid_after(ends).sign(key, hashes.SHA256())
    )  # fmt: skip
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def schema(clinic: Clinic, undo: contextlib.ExitStack, revision: str) -> None:
    """The database says that it is of another revision."""
    clinic.sql("CREATE TABLE kept_version AS SELECT * FROM alembic_version")
    undo.callback(
        clinic.sql,
        "UPDATE alembic_version SET version_num = (SELECT version_num FROM kept_version)",
        "DROP TABLE kept_version",
    )
    clinic.sql(f"UPDATE alembic_version SET version_num = '{revision}'")


def some_log(clinic: Clinic, undo: contextlib.ExitStack) -> None:
    """Two records with their places, published."""
    leaf = json.dumps(
        {
            "at": "2026-01-01T00:00:00.000Z", "side": "provider", "exchange_id": "e", "consumer": "VN/GOV/H24/motcua",
            "provider": "VN/GOV/G01", "resource": "VN/GOV/G01/dancu/citizen", "way": "call", "purpose": None,
            "agreement": None, "outcome": "permitted", "reason": None, "rows": None, "bytes": None,
        }
    )  # fmt: skip
    clinic.sql(
        f"INSERT INTO record (hash, leaf) SELECT '\\x0{1}', convert_to('{leaf}', 'UTF8') FROM generate_series(1, 2)"
    )
    undo.callback(
        clinic.sql, "DELETE FROM entry", "DELETE FROM checkpoint", "DELETE FROM record",
        "UPDATE sequenced SET tx = '0', seq = 0, size = 0",
    )  # fmt: skip

    async def place() -> None:
        settings = replace(clinic.other.settings, node="nut-g01", data=clinic.data)
        local = await open_local(settings)
        async with await AsyncConnection.connect(clinic.dsn) as db:
            assert await Sequencer(local.files, local.keyring.ed25519(LOG_KEY)).step(db) == 2
        await local.pool.close()

    clinic.background.run(place())


def offer(clinic: Clinic, undo: contextlib.ExitStack, source) -> None:
    """A second service with ``source``."""
    kind = "http" if isinstance(source, HttpSource) else "table"
    fields = () if kind == "http" else (Field("a", "string"),)
    service = Service(
        id=ServiceId("VN/GOV/G01/dancu/second"), kind=kind, title_vi="x", title_en="x", sharing="shared",
        fields=fields, source=source,
    )  # fmt: skip

    async def store() -> None:
        async with await AsyncConnection.connect(clinic.dsn) as db:
            await store_service(db, service)

    clinic.background.run(store())
    undo.callback(clinic.sql, "DELETE FROM service WHERE id LIKE '%second'")
