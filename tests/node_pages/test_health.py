"""Every part of a node that goes wrong is told with its cause and its mend, and the others still are."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from lienthong.i18n import LANGUAGES
from lienthong.node import checks, jobchecks
from lienthong.node.finding import Check
from lienthong.node.health import HealthDesk, note_checks, run_checks
from lienthong.storage.keyring import Keyring
from tests.node_pages.country import Site
from tests.use.nodes import publish

pytestmark = pytest.mark.integration


async def found(site: Site, look) -> Check:
    (check,) = await run_checks(site.local, [look])
    return check


def certificate_ending(site: Site, when: datetime) -> None:
    """The node's own certificate, with another end; the directory does not list it."""
    path = site.local.settings.data / checks.CERTIFICATE_FILE
    old = x509.load_pem_x509_certificate(path.read_bytes())
    made = (
        x509.CertificateBuilder().subject_name(old.subject).issuer_name(old.issuer).public_key(old.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(when - timedelta(days=9)).not_valid_after(when)
        .sign(site.local.keyring.es256("node-tls"), hashes.SHA256())
    )  # fmt: skip
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))


async def test_all_checks_of_a_good_node_say_ok(country):
    await note_checks(country.police.local, [jobchecks.peers, jobchecks.clock, jobchecks.queues])

    health = await HealthDesk(country.police.local).look()

    assert health.status == "ok", health.as_dict("en")
    assert set(health.parts) >= {
        "database", "disk", "directory", "sequencer", "certificate", "keys", "jobs", "peers", "clock", "queues",
    }  # fmt: skip


async def test_a_certificate_is_told_of_before_it_ends_after_it_ended_and_when_the_directory_lists_another(country):
    now = datetime.now(UTC)
    assert (await found(country.police, checks.certificate)).state == "ok"

    certificate_ending(country.police, now - timedelta(hours=1))
    assert (await found(country.police, checks.certificate)).word == "expired"
    certificate_ending(country.police, now + timedelta(days=99))
    assert (await found(country.police, checks.certificate)).word == "not-listed"


async def test_a_key_that_the_directory_does_not_list_or_that_ends_is_told(country):
    site = country.police
    assert (await found(site, checks.keys)).state == "ok"
    (member,) = [m for m in country.contents.members if m.id == site.local.settings.members[0]]
    soon = replace(member.keys[0], valid_to=datetime.now(UTC) + timedelta(days=3))
    for version, keys, word in ((2, (soon,), "ends-soon"), (3, (), "not-listed")):
        members = tuple(replace(m, keys=keys) if m.id == member.id else m for m in country.contents.members)
        publish([site.local], replace(country.contents, members=members), country.folder, country.key, version)
        assert (await found(site, checks.keys)).word == word


async def test_records_that_nobody_places_are_told_with_their_number(country):
    site = country.police
    with psycopg.connect(site.local.dsns.owner, autocommit=True) as db:
        db.execute("INSERT INTO record (hash, leaf) VALUES ('\\x00', '\\x00'), ('\\x01', '\\x01')")

    told = await found(site, checks.sequencer)

    assert (told.word, told.facts["waiting"]) == ("lag", 2)


@pytest.mark.parametrize(("free", "state", "word"), [(10, "failed", "full"), (500, "degraded", "low")])
async def test_a_disk_that_is_nearly_full_is_told(country, monkeypatch, free: int, state: str, word: str):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, free * 1024**2))

    told = await found(country.police, checks.disk)

    assert (told.state, told.word) == (state, word)


async def test_peers_that_can_not_be_reached_are_named(country):
    assert (await found(country.police, jobchecks.peers)).state == "ok"

    await country.province.node.listener.stop(1.0)

    told = await found(country.police, jobchecks.peers)
    assert (told.word, told.facts["nodes"]) == ("unreachable", country.province.local.settings.node)


async def test_a_clock_apart_from_the_other_nodes_is_told(country, monkeypatch):
    real = jobchecks.time.time
    monkeypatch.setattr(jobchecks.time, "time", lambda: real() + 90)

    told = await found(country.police, jobchecks.clock)

    assert (told.word, abs(told.facts["seconds"] - 90) <= 2) == ("skew", True)


async def test_a_sandbox_that_takes_no_jobs_is_told(country):
    assert (await found(country.police, jobchecks.sandbox)).word == "away"


async def test_queues_that_grow_are_told(country, monkeypatch):
    monkeypatch.setattr(jobchecks, "MANY_WAITING", 0)

    assert (await found(country.police, jobchecks.queues)).word == "long"


async def test_a_jobs_process_that_fell_silent_is_told_beside_what_the_others_say(country):
    site = country.police
    assert (await HealthDesk(site.local).look()).parts["jobs"] == "silent"
    await note_checks(site.local, [jobchecks.clock])
    with psycopg.connect(site.local.dsns.owner, autocommit=True) as db:
        db.execute("UPDATE health_note SET at = now() - interval '2 minutes'")

    health = await HealthDesk(site.local).look()

    assert (health.status, health.parts["jobs"], health.parts["database"]) == ("degraded", "silent", "ok")


async def test_a_check_that_breaks_is_a_finding_and_hides_no_other(country):
    async def broken(local) -> Check:
        raise KeyError(local)

    told, fine = await run_checks(country.police.local, [broken, checks.directory])

    assert (told.name, told.state, told.word, fine.state) == ("broken", "degraded", "KeyError", "ok")


async def test_each_cause_comes_with_a_mend_in_both_languages(country):
    shutil.rmtree(country.police.local.settings.data / "directory")
    country.police.local.directory._snapshot = None
    seen = {}
    for language in LANGUAGES:
        _, text = await country.get(f"{country.police.url}/readyz?lang={language}")
        (cause,) = [each for each in json.loads(text)["causes"] if each["part"] == "directory"]
        seen[language] = (cause["detail"], cause["mend"])
    assert all(seen["vi"])
    assert seen["vi"] != seen["en"]


async def test_a_key_that_is_missing_is_made_known_as_a_finding(country):
    folder = country.police.local.settings.data / "keys"
    (folder / "node-tls.crt").unlink()

    assert (await found(country.police, checks.certificate)).word == "FileNotFoundError"
    assert Keyring(country.police.local.settings.data)
