"""The doctor names every planted fault with its cause and mend, and tells a node in order nothing."""

from __future__ import annotations

import contextlib
import json
import resource
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from psycopg import AsyncConnection
from typer.testing import CliRunner

from lienthong.access.sequence import Sequencer
from lienthong.catalog.models import Field, HttpSource, Service, TableSource
from lienthong.catalog.queries import store_service
from lienthong.cli.doctor import app
from lienthong.directory.models import ServiceId
from lienthong.doctor import database, machine
from lienthong.i18n import LANGUAGES
from lienthong.node.local import open_local
from lienthong.node.prepare import LOG_KEY
from lienthong.storage.keyring import Keyring
from lienthong.storage.migrations.runner import KNOWN_SINCE
from lienthong.trust.keys import generate_es256
from tests.doctor.clinic import Clinic, fresh, open_clinic, tls_of
from tests.use.databases import databases
from tests.use.nodes import free_port

pytestmark = pytest.mark.integration
Plant = Callable[[Clinic, contextlib.ExitStack, pytest.MonkeyPatch], None]
PLANTS: dict[str, Plant] = {}


@pytest.fixture(scope="module")
def shared_clinic(pg_server, tmp_path_factory) -> Iterator[Clinic]:
    with databases(pg_server, 2) as dsns:
        name = dsns[1].app.split("?")[0].rsplit("/", 1)[1]
        with open_clinic(dsns, pg_server.dsn(name), tmp_path_factory.mktemp("clinic")) as clinic:
            yield clinic


@pytest.fixture
def clinic(shared_clinic: Clinic) -> Iterator[Clinic]:
    with fresh(shared_clinic) as opened:
        yield opened


def plants(fault: str) -> Callable[[Plant], Plant]:
    """The function plants ``fault``; what it enters on the stack is undone after the look."""

    def kept(plant: Plant) -> Plant:
        PLANTS[fault] = plant
        return plant

    return kept


# -- the machine


@plants("data-missing")
def _(clinic, undo, patch):
    shutil.rmtree(clinic.data)


@plants("folder-not-writable")
def _(clinic, undo, patch):
    clinic.data.chmod(0o500)


@plants("secrets-open")
def _(clinic, undo, patch):
    (clinic.data / "keys").chmod(0o755)


@plants("disk-full")
def _(clinic, undo, patch):
    patch.setattr(machine, "LITTLE_BYTES", 2**62)  # what is free counts as little


@plants("few-open-files")
def _(clinic, undo, patch):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    undo.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))


@plants("words-missing")
def _(clinic, undo, patch):
    patch.setattr(machine, "LOCALE_FOLDER", clinic.folder / "nowhere")


@plants("port-taken")
def _(clinic, undo, patch):
    taken = undo.enter_context(socket.socket())
    taken.bind(("127.0.0.1", clinic.values["public"]))


@plants("port-not-served")
def _(clinic, undo, patch):
    undo.enter_context(clinic.running())


@plants("sandbox-down")
def _(clinic, undo, patch):
    undo.enter_context(clinic.running())


# -- configuration


@plants("bad-configuration")
def _(clinic, undo, patch):
    clinic.values["node"] = 'nut"\nunknown_key = "x'


# -- keys and certificate


@plants("key-missing")
def _(clinic, undo, patch):
    (clinic.data / "keys" / "VN-GOV-G01.pem").unlink()


@plants("key-unreadable")
def _(clinic, undo, patch):
    path = clinic.data / "keys" / "VN-GOV-G01.pem"
    path.unlink()
    path.mkdir()  # even the superuser can not read it


@plants("key-broken")
def _(clinic, undo, patch):
    (clinic.data / "keys" / "log.pem").write_bytes(b"no key")


@plants("key-password-wrong")
def _(clinic, undo, patch):
    (clinic.data / "secrets" / "key-password").write_text(secrets.token_hex(32))


@plants("key-not-listed")
def _(clinic, undo, patch):
    clinic.publish(of_member(clinic, keys=()), version=2)


@plants("key-ends-soon")
def _(clinic, undo, patch):
    (member,) = [m for m in clinic.contents.members if m.id == "VN/GOV/G01"]
    soon = replace(member.keys[0], valid_to=clinic.now + timedelta(days=3))
    clinic.publish(of_member(clinic, keys=(soon,)), version=2)


@plants("member-not-active")
def _(clinic, undo, patch):
    clinic.publish(of_member(clinic, state="closed"), version=2)


@plants("certificate-missing")
def _(clinic, undo, patch):
    (clinic.data / "keys" / "node-tls.crt").unlink()


@plants("certificate-broken")
def _(clinic, undo, patch):
    (clinic.data / "keys" / "node-tls.crt").write_text("no certificate")


@plants("certificate-expired")
def _(clinic, undo, patch):
    certificate(clinic, clinic.now - timedelta(hours=1))


@plants("certificate-ends-soon")
def _(clinic, undo, patch):
    certificate(clinic, clinic.now + timedelta(days=5))


@plants("certificate-not-listed")
def _(clinic, undo, patch):
    certificate(clinic, clinic.now + timedelta(days=300))


@plants("certificate-mismatch")
def _(clinic, undo, patch):
    certificate(clinic, clinic.now + timedelta(days=300), key=generate_es256())


# -- the database and the log


@plants("database-down")
def _(clinic, undo, patch):
    path = clinic.data / "secrets" / "database.json"
    told = json.loads(path.read_text())
    closed = f"postgresql://nobody@127.0.0.1:{free_port()}/x"
    path.write_text(json.dumps(dict.fromkeys(told, closed)))


@plants("database-unsafe")
def _(clinic, undo, patch):
    name = clinic.values["name"]
    undo.enter_context(
        clinic.planted(
            f"ALTER DATABASE {name} SET synchronous_commit = off", f"ALTER DATABASE {name} RESET ALL", superuser=True
        )
    )


@plants("schema-old")
def _(clinic, undo, patch):
    schema(clinic, undo, "0003_catalog")


@plants("schema-newer")
def _(clinic, undo, patch):
    schema(clinic, undo, "9999_of_next_year")
    undo.enter_context(
        clinic.planted(
            "COMMENT ON TABLE alembic_version IS 'runs with 9998_of_next_year'",
            f"COMMENT ON TABLE alembic_version IS 'runs with {KNOWN_SINCE}'",
        )
    )


@plants("rights-missing")
def _(clinic, undo, patch):
    role = "node_template_app"
    undo.enter_context(clinic.planted(f"REVOKE INSERT ON entry FROM {role}", f"GRANT INSERT ON entry TO {role}"))


@plants("rights-surplus")
def _(clinic, undo, patch):
    role = "node_template_log"
    undo.enter_context(clinic.planted(f"GRANT DELETE ON record TO {role}", f"REVOKE DELETE ON record FROM {role}"))


@plants("few-connections")
def _(clinic, undo, patch):
    patch.setattr(database, "NEEDED_CONNECTIONS", 10**6)  # what is free counts as few


@plants("log-shortened")
def _(clinic, undo, patch):
    some_log(clinic, undo)
    undo.enter_context(clinic.planted("UPDATE sequenced SET size = 1", "UPDATE sequenced SET size = 2"))


@plants("log-files-missing")
def _(clinic, undo, patch):
    some_log(clinic, undo)
    shutil.rmtree(clinic.data / "log")


@plants("sequencer-stopped")
def _(clinic, undo, patch):
    undo.enter_context(clinic.running())
    undo.enter_context(
        clinic.planted("INSERT INTO record (hash, leaf) VALUES ('\\x00', '\\x00')", "DELETE FROM record")
    )


# -- the directory


@plants("anchor-missing")
def _(clinic, undo, patch):
    (clinic.folder / "anchor.json").unlink()


@plants("directory-missing")
def _(clinic, undo, patch):
    shutil.rmtree(clinic.data / "directory")


@plants("directory-broken")
def _(clinic, undo, patch):
    (clinic.data / "directory" / "current").write_bytes(b"{}")


@plants("directory-expired")
def _(clinic, undo, patch):
    clinic.publish(clinic.contents, version=2, issued=clinic.now - timedelta(hours=25))


@plants("directory-offered-expired")
def _(clinic, undo, patch):
    old = clinic.sign(clinic.contents, version=9, issued=clinic.now - timedelta(hours=25))
    clinic.offered["envelope"] = old


@plants("directory-old")
def _(clinic, undo, patch):
    undo.enter_context(clinic.running())
    clinic.publish(clinic.contents, version=2, issued=clinic.now - timedelta(minutes=30))


@plants("directory-rollback")
def _(clinic, undo, patch):
    clinic.publish(clinic.contents, version=7)
    clinic.offered["envelope"] = clinic.sign(clinic.contents, version=6)


@plants("directory-not-verified")
def _(clinic, undo, patch):
    clinic.offered["envelope"] = clinic.sign(clinic.contents, version=2, key=generate_es256())


@plants("directory-not-served")
def _(clinic, undo, patch):
    clinic.offered["status"] = 404


@plants("national-down")
def _(clinic, undo, patch):
    clinic.values["url"] = f"http://127.0.0.1:{free_port()}/directory/current"


@plants("name-unknown")
def _(clinic, undo, patch):
    clinic.values["url"] = "http://khong-co.invalid/directory/current"


@plants("node-not-listed")
def _(clinic, undo, patch):
    clinic.values["node"] = "nut-khac"


@plants("address-differs")
def _(clinic, undo, patch):
    clinic.values["peer_url"] = "https://10.9.9.9:5500"


@plants("client-not-listed")
def _(clinic, undo, patch):
    clinic.values["system"] = "VN/GOV/G01/khong-co"


# -- the other nodes


@plants("clock-skew")
def _(clinic, undo, patch):
    clinic.now += timedelta(seconds=90)


@plants("peer-unreachable")
def _(clinic, undo, patch):
    other_at(clinic, f"https://127.0.0.1:{free_port()}")


@plants("peer-name-unknown")
def _(clinic, undo, patch):
    other_at(clinic, "https://khong-co.invalid:5500")


@plants("peer-certificate-other")
def _(clinic, undo, patch):
    proxy = undo.enter_context(clinic.listening(tls=a_proxy(clinic)))
    other_at(clinic, f"https://127.0.0.1:{proxy}")


@plants("tls-terminated")
def _(clinic, undo, patch):
    undo.enter_context(clinic.running())
    undo.enter_context(clinic.listening(port=clinic.values["peer"], tls=a_proxy(clinic)))


# -- what is offered


@plants("table-gone")
def _(clinic, undo, patch):
    undo.enter_context(
        clinic.planted("ALTER TABLE public.person RENAME TO gone", "ALTER TABLE public.gone RENAME TO person")
    )


@plants("column-changed")
def _(clinic, undo, patch):
    undo.enter_context(
        clinic.planted(
            "ALTER TABLE public.person ALTER birth_date TYPE text",
            "ALTER TABLE public.person ALTER birth_date TYPE date USING birth_date::date",
        )
    )


@plants("source-down")
def _(clinic, undo, patch):
    dsn = f"postgresql://nobody@127.0.0.1:{free_port()}/x"
    offer(clinic, undo, TableSource("postgres", dsn=dsn, relation="public.x"))


@plants("file-gone")
def _(clinic, undo, patch):
    offer(clinic, undo, TableSource("csv", path=str(clinic.folder / "gone.csv")))


@plants("backend-down")
def _(clinic, undo, patch):
    offer(clinic, undo, HttpSource(f"http://127.0.0.1:{free_port()}"))


@plants("backend-slow")
def _(clinic, undo, patch):
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    offer(clinic, undo, HttpSource(f"http://127.0.0.1:{undo.enter_context(clinic.listening(silent))}", timeout_s=0.2))


@plants("backend-tls")
def _(clinic, undo, patch):
    port = undo.enter_context(clinic.listening(tls=a_proxy(clinic)))
    offer(clinic, undo, HttpSource(f"https://127.0.0.1:{port}"))


@plants("service-without-agreement")
def _(clinic, undo, patch):
    csv = clinic.folder / "here.csv"
    csv.write_text("a\n1\n")
    offer(clinic, undo, TableSource("csv", path=str(csv)))


@plants("agreement-ends-soon")
def _(clinic, undo, patch):
    undo.enter_context(
        clinic.planted(
            "UPDATE agreement SET ended_at = now() + interval '3 days'", "UPDATE agreement SET ended_at = NULL"
        )
    )


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


def test_a_node_in_order_is_told_nothing(clinic: Clinic):
    assert clinic.look() == []


@pytest.mark.parametrize("fault", PLANTS)
def test_a_planted_fault_is_named_with_its_cause_and_mend_in_both_languages(clinic: Clinic, monkeypatch, fault: str):
    with contextlib.ExitStack() as undo:
        PLANTS[fault](clinic, undo, monkeypatch)
        told = {each.name: each for each in clinic.look()}

    assert fault in told, told.keys()
    said = {language: told[fault].as_dict(language) for language in LANGUAGES}
    for part in ("cause", "mend"):
        assert said["vi"][part] != said["en"][part]
        assert "{" not in said["vi"][part] + said["en"][part]


def test_as_many_faults_are_planted_as_were_promised():
    assert len(PLANTS) >= 25


def test_a_planted_fault_that_was_mended_is_told_no_more(clinic: Clinic, monkeypatch):
    with contextlib.ExitStack() as undo:
        for fault in ("port-taken", "table-gone", "rights-missing"):
            PLANTS[fault](clinic, undo, monkeypatch)
        assert {"port-taken", "table-gone", "rights-missing"} <= clinic.found()

    assert clinic.found() == set()


def run(clinic: Clinic, *options: str):
    return CliRunner().invoke(app, ["--config", str(clinic.config), *options], env={"LIENTHONG_LANG": "vi"})


def test_the_command_speaks_vietnamese_says_what_next_and_ends_with_the_worst(clinic: Clinic, monkeypatch):
    good = run(clinic)
    assert (good.exit_code, good.output) == (0, "✓ Nút kết nối này không có gì sai.\n")

    with contextlib.ExitStack() as undo:
        PLANTS["agreement-ends-soon"](clinic, undo, monkeypatch)
        warned = run(clinic)
        PLANTS["table-gone"](clinic, undo, monkeypatch)
        broken = run(clinic)
        told = json.loads(run(clinic, "--json").output)

    assert warned.exit_code == 1
    assert broken.exit_code == 2
    assert broken.output.startswith("✗ 1. ")
    assert broken.output.splitlines()[-1].startswith("Làm gì tiếp")
    assert {each["fault"] for each in told["faults"]} == {"agreement-ends-soon", "table-gone"}


def test_a_look_that_breaks_is_told_and_hides_no_other(clinic: Clinic, monkeypatch):
    async def broken(patient):
        raise KeyError("x")

    monkeypatch.setattr("lienthong.doctor.examine.LOOKS", (broken, machine.folder))
    (clinic.data / "keys").chmod(0o755)

    assert clinic.found() == {"look-failed", "secrets-open"}


def test_looking_changes_nothing(clinic: Clinic):
    def state() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_size, path.stat().st_mode) for path in clinic.data.rglob("*")}

    (clinic.data / "keys" / "log.pem").unlink()
    before = state()
    clinic.look()

    assert state() == before
