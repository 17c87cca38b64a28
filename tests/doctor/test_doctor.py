"""The doctor names every planted fault with its cause and mend, and tells a node in order nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lienthong.cli.doctor import app
from lienthong.doctor import machine
from lienthong.i18n import LANGUAGES
from tests.doctor.clinic import Clinic, fresh, open_clinic
from tests.doctor.planted import PLANTS, keep_a_drill
from tests.use.databases import databases

pytestmark = pytest.mark.integration


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


def test_a_restore_drill_is_due_twelve_months_after_the_last_one_that_passed(clinic: Clinic):
    keep_a_drill(clinic, clinic.now - timedelta(days=360), passed=True)
    assert clinic.look() == []
    keep_a_drill(clinic, clinic.now - timedelta(days=300), passed=False)
    clinic.now += timedelta(days=1)
    assert "restore-drill-old" not in clinic.found()
    assert "restore-drill-failed" in clinic.found()
    clinic.now += timedelta(days=9)
    assert {"restore-drill-old", "restore-drill-failed"} <= clinic.found(), "a failed one puts nothing off"


def test_a_node_that_was_never_rehearsed_is_told_so_a_year_after_its_first_start(clinic: Clinic):
    clinic.now += timedelta(days=368)
    old = {fault.name: fault for fault in clinic.look()}["restore-drill-old"]
    assert "TT 12/2025/TT-BKHCN" in old.as_dict("vi")["cause"]


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
