"""The heart of it: one agreement, three ways to use the data, three receipts that name the same agreement."""

from __future__ import annotations

import base64
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.e2e.country import CITIZEN, ONE_STOP, ONE_STOP_SYSTEM, Country, environment

pytestmark = pytest.mark.e2e

READ_WITH_THE_OFFICIAL_CLIENT = """
import json, sys, delta_sharing
frame = delta_sharing.load_as_pandas(sys.argv[1] + "#" + sys.argv[2])
print(json.dumps({"columns": list(frame.columns), "rows": frame[["personal_number", "phone"]].values.tolist()}))
"""


def masked(phone: str | None) -> str | None:
    return phone and phone[:3] + "*" * (len(phone) - 5) + phone[-2:]


def take_with_the_official_client(delta_client: Path, profile: Path, table: str) -> tuple[Any, bytes]:
    ran = subprocess.run(
        [delta_client, "-c", READ_WITH_THE_OFFICIAL_CLIENT, profile, table],
        env=environment(), capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr.decode()
    return json.loads(ran.stdout), ran.stdout


def parquet_files(country: Country, profile: Path, table: str) -> list[bytes]:
    """The files of a shared table, byte for byte, by the addresses that the protocol gives."""
    granted = json.loads(profile.read_text())
    share, schema, name = table.split(".")
    answer = country.http.post(
        f"{granted['endpoint'].rstrip('/')}/shares/{share}/schemas/{schema}/tables/{name}/query",
        headers={"Authorization": f"Bearer {granted['bearerToken']}"},
        json={},
    )
    lines = [json.loads(line) for line in answer.text.splitlines()]
    return [country.http.get(line["file"]["url"]).content for line in lines if "file" in line]


def readable(parquet: bytes) -> bytes:
    """A Parquet file's values as text: in the file itself they may be compressed."""
    return json.dumps(pq.read_table(io.BytesIO(parquet)).to_pylist(), default=str, ensure_ascii=False).encode()


def test_one_agreement_three_ways_three_receipts_and_the_masked_field_in_none_of_the_bytes(
    country: Country, delta_client: Path, tmp_path: Path
):
    people = country.people()
    phones = {person["phone"] for person in people if person["phone"]}
    somebody = next(person for person in people if person["phone"])
    agreement = country.agreement(CITIZEN)
    table = "g01.dancu.citizen"

    # Call
    called = country.call(
        CITIZEN, "--data", json.dumps({"personal_number": somebody["personal_number"]}), "--purpose", ONE_STOP,
        "--json", "--receipt", str(tmp_path / "call.json"),
    )  # fmt: skip
    # Take
    profile = tmp_path / "citizen.share"
    granted = country.run(
        "share", "profile", "--agreement", agreement["id"], "--purpose", ONE_STOP, "--out", str(profile),
        "--node", country.client_url, "--client", ONE_STOP_SYSTEM,
    )  # fmt: skip
    assert granted.status == 0, granted.err
    taken, taken_bytes = take_with_the_official_client(delta_client, profile, table)
    files = parquet_files(country, profile, table)
    # Query
    asked = country.query(
        f"SELECT personal_number, full_name, phone FROM {table} ORDER BY personal_number",
        "--purpose", ONE_STOP, "--json",
    )  # fmt: skip

    # Every way gave the same persons, their numbers masked alike.
    assert (called.status, asked.status) == (0, 0), (called.err, asked.err)
    [row] = called.json["body"]["rows"]
    assert (row["full_name"], row["phone"]) == (somebody["full_name"], masked(somebody["phone"]))
    shown = [[person["personal_number"], masked(person["phone"])] for person in people]
    assert sorted(taken["rows"]) == shown
    assert [[number, phone] for number, _, phone in asked.json["rows"]] == shown

    # The masked field's values, and the fields not granted, are in none of the bytes.
    received = [called.out.encode(), taken_bytes, *files, *map(readable, files), asked.out.encode()]
    assert len(phones) > 100
    assert len(files) >= 1
    assert [phone for phone in phones for content in received if phone.encode() in content] == []
    for left_out in ("household_id", "updated_at", somebody["household_id"]):
        assert not any(left_out.encode() in content for content in received), left_out

    # Three receipts, one agreement; the separate verifier accepts each, down to whose keys they are.
    reading = next(use for use in country.uses("G01") if use["way"] == "table" and use["consumer"] == ONE_STOP_SYSTEM)
    receipts = {
        "call": json.loads((tmp_path / "call.json").read_text()),
        "table": country.receipt(country.node("G01")["client_url"], reading["hash"]),
        "query": country.receipt(country.client_url, asked.json["sources"][0]["record"]),
    }
    records = {way: json.loads(receipt["record"]) for way, receipt in receipts.items()}
    assert {way: record["way"] for way, record in records.items()} == {way: way for way in records}
    assert {record["agreement"]["digest"] for record in records.values()} == {agreement["digest"]}
    assert {record["purpose"] for record in records.values()} == {ONE_STOP}
    assert {record["outcome"] for record in records.values()} == {"permitted"}

    (tmp_path / "directory.json").write_bytes(country.http.get(f"{country.portal}/directory/current").content)
    for way, receipt in receipts.items():
        file = tmp_path / f"{way}.json"
        file.write_text(json.dumps(receipt))
        verified = country.run(
            "verify", "receipt", str(file),
            "--directory", str(tmp_path / "directory.json"), "--anchor", str(country.folder / "anchor.json"),
        )  # fmt: skip
        assert verified.status == 0, (way, verified.out, verified.err)
        # Files are fetched by any client, without a signed message: their receipt rests on the log and the directory.
        # What else may be open is whether witnesses have cosigned in this very second.
        assert (way == "table") == ("this use has no signed message" in verified.out), verified.out
        held = file.read_bytes() + b"".join(
            base64.b64decode(message["base"]) for message in (receipt["messages"] or {}).values() if message
        )
        for word in (somebody["personal_number"], somebody["full_name"], somebody["phone"]):
            assert word.encode() not in held, (way, word)


def test_both_sides_keep_a_record_of_the_same_use_that_names_the_same_agreement(country: Country, tmp_path: Path):
    somebody = country.people()[0]
    called = country.call(
        CITIZEN, "--data", json.dumps({"personal_number": somebody["personal_number"]}), "--receipt",
        str(tmp_path / "mine.json"),
    )  # fmt: skip
    assert called.status == 0, called.err

    mine = json.loads(json.loads((tmp_path / "mine.json").read_text())["record"])
    receipt = country.receipt(country.node("G01")["client_url"], mine["peer_record"])
    (tmp_path / "theirs.json").write_text(json.dumps(receipt))
    theirs = json.loads(receipt["record"])

    assert (mine["side"], theirs["side"]) == ("consumer", "provider")
    for name in ("exchange_id", "agreement", "purpose", "request_signature_digest", "body_digest"):
        assert mine[name] == theirs[name], name
    for file in ("mine.json", "theirs.json"):
        assert country.run("verify", "receipt", str(tmp_path / file)).status == 0
