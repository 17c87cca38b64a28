"""``lienthong demo``: what ``--once`` prints, what a second start keeps, and that nothing outlives it."""

from __future__ import annotations

import json
import shlex
import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.conftest import PERSONS, Once
from tests.e2e.country import LAST_WORDS, Country, a_folder, database, free_port, started_demo

pytestmark = pytest.mark.e2e

MEMBERS = {"VN/ORG/NDC", "VN/GOV/G01", "VN/GOV/G10", "VN/GOV/G12", "VN/GOV/H24"}


def test_once_prints_one_json_value_with_counts_by_way_and_outcome(once: Once):
    summary = json.loads(once.ran.out)

    assert (once.ran.status, once.ran.err) == (0, "")
    assert (summary["ok"], summary["synthetic"], summary["persons"]) == (True, True, PERSONS)
    assert summary["counts"] == {"call": {"permitted": 4}, "table": {"permitted": 2}, "query": {"permitted": 5}}
    assert summary["receipts"] == summary["receipts_verified"] == 20
    assert sum(sum(outcomes.values()) for outcomes in summary["counts"].values()) == len(summary["uses"])


def test_once_leaves_no_process(once: Once):
    assert once.processes > 20, "five nodes of four processes and a database were expected"
    assert once.left == []


def test_every_use_of_the_demo_names_an_agreement_and_the_sides_keep_receipts_that_pair(once: Once):
    for use in json.loads(once.ran.out)["uses"]:
        records = [json.loads(json.loads(Path(r["file"]).read_text())["record"]) for r in use["receipts"]]

        assert {record["agreement"]["digest"] for record in records} == {use["agreement_digest"]}
        assert [record["side"] for record in records] == (
            ["provider"] if use["way"] == "table" else ["consumer", "provider"]
        )
        if use["way"] != "table":
            assert records[0]["peer_record"] == use["receipts"][1]["record"]


def test_a_second_start_keeps_addresses_keys_agreements_registers_and_logs(once: Once, country: Country):
    assert country.nodes == once.described["nodes"]
    first = json.loads(once.ran.out)["uses"]
    for node in country.nodes:
        kept = [r for use in first for r in use["receipts"] if r["node"] == node["node"]]
        receipt = json.loads(Path(kept[0]["file"]).read_text())
        # The key that signs the log is the same, and the record of the first start has its place in it.
        assert country.receipt(node["public_url"], kept[0]["record"])["log"] == receipt["log"]
    assert country.agreement("VN/GOV/G01/dancu/citizen")["digest"] == first[0]["agreement_digest"]
    # The register was not made again: its rows are older than the first use of the first start.
    settings = tomllib.loads(Path(country.node("H24")["config"]).read_text())
    with country.source("G01") as db, psycopg.connect(database(settings["database"], "lt_nut_h24")) as log:
        made = db.execute("SELECT max(xmin::text::bigint) AS xid FROM person").fetchone()["xid"]
        used = log.execute("SELECT min(xmin::text::bigint) FROM record").fetchone()[0]
    assert made < used


def test_the_description_lists_every_node_with_addresses_that_answer(country: Country):
    assert {member for node in country.nodes for member in node["members"]} == MEMBERS
    assert len({port for node in country.nodes for port in node["ports"]}) == 15
    for node in country.nodes:
        for address in (node["public_url"], node["client_url"]):
            assert country.json(f"{address}/livez") == {"status": "ok"}
            assert country.http.get(f"{address}/readyz").status_code == 200
    assert country.portal == country.node("NDC")["public_url"]


def test_the_commands_that_the_demo_offers_work_as_they_stand(country: Country):
    offered = [line.strip() for line in country.demo.said if "lienthong " in line and line.startswith("  ")]

    assert len(offered) == 3
    for line in offered:
        variables, _, rest = line.rpartition("lienthong ")
        assert variables in ("", f"LIENTHONG_DEMO={country.folder} ")
        ran = country.run(*shlex.split(rest))
        assert ran.status == 0, (line, ran.err)


def test_a_second_demo_on_the_same_folder_is_refused_and_the_first_goes_on(country: Country):
    ran = country.run("demo", "--data", str(country.folder), "--port", str(free_port()), "--once")

    assert (ran.status, ran.out) == (2, "")
    assert "urn:lienthong:problem:already-serving" in ran.err
    assert country.json(f"{country.portal}/livez") == {"status": "ok"}


@pytest.fixture(scope="module")
def interrupted() -> Iterator[tuple[Path, int, list[str]]]:
    """A folder in which a start was ended half-way by SIGTERM."""
    with a_folder() as folder:
        port = free_port()
        with started_demo(folder, port, 100) as demo:
            demo.wait_until_it_says("Make keys and certificates")
            status = demo.end(signal.SIGTERM)
            yield folder, status, demo.left()


def test_a_start_that_is_ended_half_way_leaves_no_process(interrupted: tuple[Path, int, list[str]]):
    _, status, left = interrupted

    assert (status, left) == (1, [])


def test_a_start_after_an_ended_one_succeeds_and_ctrl_c_ends_every_process(
    interrupted: tuple[Path, int, list[str]],
):
    folder, _, _ = interrupted
    with started_demo(folder, free_port(), 100) as demo:
        demo.wait_until_it_says(LAST_WORDS)
        uses = json.loads((folder / "demo.json").read_text())["uses"]
        status = demo.end(signal.SIGINT)

        assert [use["outcome"] for use in uses] == ["permitted"] * 11
        assert (status, demo.left()) == (0, []), demo.errors
        assert demo.seen > 20
