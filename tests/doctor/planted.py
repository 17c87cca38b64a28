"""The faults that tests plant, each spoiling the clinic in its own way; what a plant enters on the stack is undone."""

from __future__ import annotations

import contextlib
import json
import resource
import secrets
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from lienthong.catalog.models import HttpSource, TableSource
from lienthong.config import load_settings
from lienthong.doctor import database, machine
from lienthong.node.rehearsed import keep_result
from lienthong.storage.migrations.runner import KNOWN_SINCE
from lienthong.trust.documents import sign_document
from lienthong.trust.keys import generate_es256, key_id, public_jwk
from tests.doctor.clinic import Clinic
from tests.doctor.spoil import a_proxy, certificate, of_member, offer, other_at, schema, some_log
from tests.use.nodes import free_port

Plant = Callable[[Clinic, contextlib.ExitStack, pytest.MonkeyPatch], None]
PLANTS: dict[str, Plant] = {}


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


def keep_a_drill(clinic: Clinic, at: datetime, *, passed: bool) -> None:
    """A result as the command keeps it."""
    told = json.dumps({"at": at.isoformat(), "passed": passed}).encode()
    settings = load_settings(clinic.config)
    keep_result(settings, sign_document(told, clinic.key, key_id(public_jwk(clinic.key))), passed=passed)


@plants("restore-drill-old")
def _(clinic, undo, patch):
    keep_a_drill(clinic, clinic.now - timedelta(days=367), passed=True)


@plants("restore-drill-failed")
def _(clinic, undo, patch):
    keep_a_drill(clinic, clinic.now - timedelta(days=9), passed=True)
    keep_a_drill(clinic, clinic.now - timedelta(days=1), passed=False)


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
