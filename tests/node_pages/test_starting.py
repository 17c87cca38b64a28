"""While somebody starts the nodes the national front page shows how far that has come, and nothing else."""

from __future__ import annotations

import json

import pytest

from lienthong.node.starting import StartFile, read_start
from lienthong.portal.models import Name
from tests.use.test_use import a_wish

BEGUN = "2026-11-22T07:05:00+00:00"


def told(*states: str, **more) -> str:
    steps = [{"vi": f"Bước {n}", "en": f"Step {n}", "state": state, "detail": ""} for n, state in enumerate(states)]
    return json.dumps({"started_at": BEGUN, "steps": steps} | more)


def write(country, text: str) -> None:
    (country.folder / "nodes" / "progress.json").write_text(text, "utf-8")


async def test_open_steps_are_shown_instead_of_the_rest(country):
    write(country, told("done", "running", "waiting"))

    home = await country.national.pages.home()

    assert [step.state for step in home.progress.steps] == ["done", "running", "waiting"]
    assert (home.progress.steps[1].title, home.progress.started_at.isoformat()) == (Name("Bước 1", "Step 1"), BEGUN)
    assert (home.node.en, home.members, home.uses) == ("National Data Centre", (), ())


async def test_when_all_steps_are_done_the_front_page_stands_with_the_commands_to_try(country):
    await country.use(a_wish())
    command = {"vi": "Gọi", "en": "Call", "command": "lienthong call ..."}
    write(country, told("done", "done", commands=[command]))

    home = await country.national.pages.home()

    assert (home.progress, len(home.uses)) == (None, 1)
    assert home.commands == ((Name("Gọi", "Call"), "lienthong call ..."),)


async def test_a_failed_step_is_told(country):
    write(country, told("done", "failed"))

    assert (await country.national.pages.home()).progress.failed


async def test_only_the_national_node_tells_of_the_start(country):
    write(country, told("running"))

    assert (await country.police.pages.home()).progress is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        told("done", "running")[:-20],
        "[]",
        "null",
        "{}",
        told("almost"),
        '{"steps": [], "started_at": 5}',
        "\x00",
    ],
)
def test_half_a_file_is_no_start(text):
    assert read_start(text.encode()) is None


def test_what_was_read_last_stays_while_the_file_is_being_written(tmp_path):
    file = tmp_path / "progress.json"
    start = StartFile(file)
    file.write_text(told("done", "running"))
    before = start.look()
    file.write_text(told("done", "done")[:30])
    start._looked -= 1.0

    assert start.look() is before
    assert before.under_way


def test_the_file_is_looked_at_no_more_than_twice_a_second(tmp_path):
    start = StartFile(tmp_path / "progress.json")
    assert start.look() is None
    (tmp_path / "progress.json").write_text(told("running"))

    assert start.look() is None
    start._looked -= 0.5
    assert start.look() is not None


def test_without_a_file_there_is_no_start(tmp_path):
    file = tmp_path / "progress.json"
    start = StartFile(file)
    file.write_text(told("running"))
    assert start.look() is not None
    file.unlink()
    start._looked -= 1.0

    assert start.look() is None
