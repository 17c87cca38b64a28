"""The commands that use data: what they print and their status (0 good, 1 refused, 2 usage or environment).

Scripts of others rely on each line of this.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.e2e.country import (
    ANALYSIS_SYSTEM,
    CITIZEN,
    ONE_STOP,
    ONE_STOP_SYSTEM,
    PATIENCE_S,
    Country,
    free_port,
    until,
)

pytestmark = pytest.mark.e2e

# The one person that stands in every population of the demo, whatever its size.
SOMEBODY = "031099990001"
WANTED = ("--data", json.dumps({"personal_number": SOMEBODY}))
BY_GENDER = "SELECT gender, count(*) AS n FROM g01.dancu.citizen GROUP BY gender ORDER BY gender"


def test_a_call_prints_the_answer_alone_and_tells_of_its_record_beside_it(country: Country):
    called = country.call(CITIZEN, *WANTED)

    assert called.status == 0
    assert [row["personal_number"] for row in called.json["rows"]] == [SOMEBODY]
    assert "Record: " in called.err


def test_a_call_as_json_is_one_json_value_even_when_it_keeps_the_receipt(country: Country, tmp_path: Path):
    called = country.call(CITIZEN, *WANTED, "--purpose", ONE_STOP, "--json", "--receipt", str(tmp_path / "r.json"))

    assert (called.status, called.json["status"]) == (0, 200)
    assert called.json["body"]["rows"][0]["personal_number"] == SOMEBODY
    receipt = json.loads((tmp_path / "r.json").read_text())
    assert receipt["record_hash"] == called.json["record"]
    assert receipt["proof"] is not None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((CITIZEN, *WANTED, "--purpose", "HP-KHONGCO-99"), "does not cover this purpose"),
        (("VN/GOV/G01/dancu/khongco", *WANTED), "There is no service VN/GOV/G01/dancu/khongco"),
        (("VN/GOV/G99/dancu/citizen", *WANTED), "VN/GOV/G99"),
        ((CITIZEN,), "personal_number"),
        ((CITIZEN, "--data", '{"full_name": "Nguyễn"}'), "full_name"),
        ((CITIZEN, "--data", "not JSON"), "JSON"),
        ((CITIZEN, *WANTED, "--purpose", "HP-THONGKE-01"), "does not allow this way of use: call"),
    ],
    ids=["purpose unknown", "service", "member", "nobody named", "column", "body", "purpose of another use"],
)
def test_a_refused_call_ends_with_1_and_says_what_it_was_refused_for(country: Country, arguments, says):
    called = country.call(*arguments)

    assert (called.status, called.out) == (1, "")
    assert says in called.err


def test_a_system_that_is_not_the_owners_is_refused_by_name(country: Country):
    called = country.call(CITIZEN, *WANTED, system="VN/GOV/H24/nguoila")

    assert (called.status, called.out) == (1, "")
    assert "VN/GOV/H24/nguoila" in called.err


def test_a_refused_call_as_json_tells_status_and_error(country: Country):
    called = country.call("VN/GOV/G01/dancu/khongco", *WANTED, "--json")

    assert called.status == 1
    assert called.json["status"] >= 400
    assert called.json["body"]["type"].endswith("UnknownService")


def test_the_next_good_call_after_refusals_works(country: Country):
    country.call(CITIZEN, *WANTED, "--purpose", "HP-KHONGCO-99")

    assert country.call(CITIZEN, *WANTED).status == 0


def test_a_node_that_is_down_is_status_2_and_the_reason_is_said(country: Country):
    nobody = f"http://127.0.0.1:{free_port()}"

    called = country.run("call", "--node", nobody, "--client", ONE_STOP_SYSTEM, CITIZEN, *WANTED)
    asked = country.run("query", BY_GENDER, "--node", nobody)

    assert (called.status, asked.status) == (2, 2)
    for said in (called.err, asked.err):
        assert nobody in said
        assert "what to do: " in said


def test_a_query_needs_nothing_but_its_sql_where_the_demo_runs(country: Country):
    asked = country.run("query", BY_GENDER)

    counted = {person["gender"]: 0 for person in country.people()}
    for person in country.people():
        counted[person["gender"]] += 1
    assert asked.status == 0, asked.err
    for gender, number in counted.items():
        assert gender in asked.out
        assert str(number) in asked.out
    assert country.agreement(CITIZEN)["id"] in asked.out


def test_a_query_as_json_names_the_agreement_and_both_records_of_every_table(country: Country):
    asked = country.query(BY_GENDER, "--json", system=ANALYSIS_SYSTEM)

    assert asked.status == 0
    assert [column["name"] for column in asked.json["columns"]] == ["gender", "n"]
    [source] = asked.json["sources"]
    assert (source["table"], source["agreement"]) == ("g01.dancu.citizen", country.agreement(CITIZEN)["id"])
    own = country.receipt(country.client_url, source["record"])
    other = country.receipt(country.node("G01")["client_url"], source["peer_record"])
    assert json.loads(own["record"])["peer_record"] == other["record_hash"]


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("DROP TABLE g01.dancu.citizen", "not-one-select"),
        ("SELECT 1; SELECT 2", "not-one-select"),
        ("SELECT FROM WHERE", "query-not-readable"),
        ("SELECT full_name FROM g01.dancu.citizen", "unknown-column"),
        ("SELECT n FROM g01.dancu.khongco", "unknown-table"),
        ("SELECT pg_sleep(1)", "function-not-allowed"),
        ("SELECT * FROM read_csv('/etc/passwd')", "function-not-allowed"),
        ("SELECT birth_date FROM g01.dancu.citizen", "group-too-small-guard"),
    ],
)
def test_a_refused_query_ends_with_1_and_says_whose_side_and_what_to_do(country: Country, sql: str, kind: str):
    asked = country.query(sql, system=ANALYSIS_SYSTEM)

    assert (asked.status, asked.out) == (1, "")
    assert f"urn:lienthong:problem:{kind}\n" in asked.err
    assert "whose side: " in asked.err
    assert "what to do: " in asked.err


def test_a_refused_query_as_json_is_the_problem_itself(country: Country):
    asked = country.query("DROP TABLE x", "--json")

    assert asked.status == 1
    assert asked.json["type"] == "urn:lienthong:problem:not-one-select"


def test_a_profile_is_written_for_its_owner_alone(country: Country, tmp_path: Path):
    out = tmp_path / "citizen.share"

    granted = country.run(
        "share", "profile", "--agreement", country.agreement(CITIZEN)["id"], "--out", str(out),
        "--node", country.client_url, "--client", ONE_STOP_SYSTEM,
    )  # fmt: skip

    assert granted.status == 0, granted.err
    profile = json.loads(out.read_text())
    assert profile["endpoint"] == f"{country.node('G01')['public_url']}/delta/"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert profile["bearerToken"] not in granted.out + granted.err


@pytest.mark.parametrize(
    "arguments",
    [("--agreement", "urn:uuid:00000000-0000-4000-8000-000000000000"), ("--purpose", "HP-KHONGCO-99")],
    ids=["agreement", "purpose"],
)
def test_a_refused_profile_ends_with_1_and_leaves_no_file(country: Country, tmp_path: Path, arguments):
    out = tmp_path / "none.share"
    chosen = {"--agreement": country.agreement(CITIZEN)["id"]} | {arguments[0]: arguments[1]}

    granted = country.run(
        "share", "profile", *(word for option in chosen.items() for word in option), "--out", str(out),
        "--node", country.client_url, "--client", ONE_STOP_SYSTEM,
    )  # fmt: skip

    assert (granted.status, granted.out) == (1, "")
    assert not out.exists()


def test_a_refusal_is_on_record(country: Country):
    before = {use["hash"] for use in country.uses("H24")}
    called = country.call(CITIZEN, *WANTED, "--purpose", "HP-GHINHAN-01")
    assert called.status == 1, called.out + called.err

    def refused() -> list[dict[str, object]]:
        new = [use for use in country.uses("H24") if use["hash"] not in before and use["outcome"] == "refused"]
        # Where an equal refusal came within the minute before, this one is in the record that counts the repetitions.
        return [
            use
            for use in new
            if (use["way"], use["resource"], str(use["reason"]).partition(";")[0])
            == ("call", CITIZEN, "purpose-not-granted")
        ]

    found = until(refused, PATIENCE_S, "the refusal came into the log")
    # What the caller typed is no purpose that the directory knows.
    assert {use["purpose"] for use in found} == {None}
