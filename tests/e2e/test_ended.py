"""An agreement that was ended: within five seconds none of the three ways works, both sides have it on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.country import ANALYSIS_SYSTEM, CITIZEN, ONE_STOP, ONE_STOP_SYSTEM, Country, until

pytestmark = pytest.mark.e2e

# No other test uses this agreement: it does not come back.
PARCELS = "VN/GOV/G10/datdai/parcel"
PROMISED_S = 5.0
SQL = "SELECT land_use, count(*) AS n FROM g10.datdai.parcel GROUP BY land_use"


class Uses:
    """The three ways to use the parcels, as a system makes them, by their answers' status."""

    def __init__(self, country: Country, owner: str, profile: Path) -> None:
        self._country, self._owner, self._profile = country, owner, json.loads(profile.read_text())

    def call(self) -> httpx.Response:
        return self._country.http.post(
            f"{self._country.client_url}/r1/{PARCELS}",
            headers={"X-Road-Client": ONE_STOP_SYSTEM, "Lienthong-Purpose": ONE_STOP},
            json={"owner_code": self._owner},
        )

    def query(self) -> httpx.Response:
        return self._country.http.post(
            f"{self._country.client_url}/sql", headers={"X-Road-Client": ANALYSIS_SYSTEM}, json={"sql": SQL}
        )

    def files(self) -> httpx.Response:
        return self._country.http.post(
            f"{self._profile['endpoint']}shares/g10/schemas/datdai/tables/parcel/query",
            headers={"Authorization": f"Bearer {self._profile['bearerToken']}"},
            json={},
        )


def test_an_ended_agreement_stops_all_three_ways_within_five_seconds_and_both_sides_record_it(
    country: Country, tmp_path: Path
):
    with country.source("G10") as db:
        owner = db.execute(
            "SELECT owner_code FROM parcel WHERE province_code = '31' AND length(owner_code) = 12 ORDER BY 1 LIMIT 1"
        ).fetchone()["owner_code"]
    agreement, profile = country.agreement(PARCELS), tmp_path / "parcel.share"
    given = country.run(
        "share", "profile", "--agreement", agreement["id"], "--purpose", ONE_STOP, "--out", str(profile),
        "--node", country.client_url, "--client", ONE_STOP_SYSTEM,
    )  # fmt: skip
    assert given.status == 0, given.err
    uses = Uses(country, owner, profile)
    listed = uses.files()
    signed = [json.loads(line)["file"]["url"] for line in listed.text.splitlines() if '"file"' in line[:10]]
    ways: dict[str, Any] = {"call": uses.call, "query": uses.query, "files": uses.files}
    assert {way: use().status_code for way, use in ways.items()} == dict.fromkeys(ways, 200)
    assert country.http.get(signed[0]).status_code == 200
    before = {use["hash"] for code in ("H24", "G10") for use in country.uses(code)}

    ended = country.run(
        "agreement", "end", agreement["id"], "--member", "G10", "--reason", "Hết căn cứ chia sẻ",
        "--provision", "Luật Đất đai 31/2024/QH15",
    )  # fmt: skip
    assert ended.status == 0, ended.err

    ways["signed address"] = lambda: country.http.get(signed[0])
    until(
        lambda: all(use().status_code >= 400 for use in ways.values()),
        PROMISED_S,
        f"{ {way: use().status_code for way, use in ways.items()} }",
    )
    refused = {way: use() for way, use in ways.items()}
    for way, answer in refused.items():
        assert owner.encode() not in answer.content, way
        assert b"PAR1" not in answer.content, way

    # By command the refusal has the status and the words that scripts and people rely on.
    called = country.call(PARCELS, "--data", json.dumps({"owner_code": owner}), "--purpose", ONE_STOP)
    assert (called.status, called.out) == (1, "")
    again = country.run(
        "share", "profile", "--agreement", agreement["id"], "--out", str(tmp_path / "again.share"),
        "--node", country.client_url, "--client", ONE_STOP_SYSTEM,
    )  # fmt: skip
    assert (again.status, (tmp_path / "again.share").exists()) == (1, False)

    def recorded(code: str) -> set[tuple[str, str]]:
        new = [use for use in country.uses(code) if use["hash"] not in before and use["resource"] == PARCELS]
        assert {use["outcome"] for use in new} <= {"refused", "permitted"}
        return {(use["way"], use["reason"]) for use in new if use["outcome"] == "refused"}

    until(lambda: {way for way, _ in recorded("H24")} >= {"call", "query"}, 20, "the consumer has no record")
    until(lambda: {way for way, _ in recorded("G10")} >= {"table"}, 20, "the provider has no record")
    assert {reason for code in ("H24", "G10") for _, reason in recorded(code)} == {"agreement-ended"}
    told = country.agreement(PARCELS)
    assert (told["digest"], bool(told["ended_at"])) == (agreement["digest"], True)

    # Other agreements are not touched.
    person = country.people()[0]["personal_number"]
    assert country.call(CITIZEN, "--data", json.dumps({"personal_number": person})).status == 0
