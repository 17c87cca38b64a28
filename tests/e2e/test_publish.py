"""``lienthong publish`` and what follows: a file and a table become services that others call once they have agreed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.e2e.country import CITIZEN, ONE_STOP, PATIENCE_S, Country, database, until

pytestmark = pytest.mark.e2e

SCHOOLS = (
    "ma,ten,hoc_sinh,thanh_lap\n01,Trường Mẫu giáo An Biên,120,1998-09-05\n02,Trường Tiểu học Lê Chân,450,1961-09-05\n"
)


def agree(country: Country, target: str, provider: str) -> None:
    """Hải Phòng asks for an agreement about a service and the provider approves, by their own commands."""
    asked = country.run(
        "agreement", "request", "--member", "H24", "--target", target, "--purpose", ONE_STOP,
        "--ground", "law:NĐ 278/2025/NĐ-CP", "--basis", "NĐ 278/2025/NĐ-CP",
    )  # fmt: skip
    assert asked.status == 0, asked.err
    waiting = country.run("agreement", "list", "--member", provider, "--json").json["requests"]
    [pid] = [each["id"] for each in waiting if each["target"] == target]
    approved = country.run("agreement", "approve", pid, "--member", provider)
    assert approved.status == 0, approved.err


def test_a_csv_file_becomes_a_service_that_is_called_under_an_agreement(country: Country, tmp_path: Path):
    file = tmp_path / "truong.csv"
    file.write_text(SCHOOLS)
    service = "VN/GOV/G12/doanhnghiep/truong"

    published = country.run("publish", str(file), "--member", "G12", "--title", "Danh sách trường", "--yes")
    assert published.status == 0, published.err
    before = country.call(service)
    agree(country, service, "G12")
    after = until(
        lambda: (called := country.call(f"{service}?ma=02")).status == 0 and called, PATIENCE_S, "the agreement counts"
    )

    assert service in published.out
    assert (before.status, before.out) == (1, "")
    assert after.json["rows"] == [
        {"ma": "02", "ten": "Trường Tiểu học Lê Chân", "hoc_sinh": 450, "thanh_lap": "1961-09-05"}
    ]


def test_a_table_of_persons_becomes_a_service_that_answers_only_about_the_person_named(country: Country):
    node = country.node("G01")
    with country.source("G01") as db:
        db.execute("CREATE TABLE IF NOT EXISTS the (so_dinh_danh text PRIMARY KEY, hang text, cap_ngay date)")
        db.execute("INSERT INTO the VALUES ('031099990001', 'B1', '2020-05-01'), ('031099990019', 'C', '2021-07-09')")
    superuser = tomllib.loads(Path(node["config"]).read_text())["database"]
    source = database(superuser, tomllib.loads(Path(node["config"]).read_text())["database_name"] + "_nguon")
    arguments = (f"{source}#public.the", "--member", "G01", "--title", "Giấy phép lái xe", "--service", "giay-phep")

    without = country.run("publish", *arguments, "--personal", "--yes")
    published = country.run("publish", *arguments, "--personal", "--subjects", "so_dinh_danh", "--yes")
    service = "VN/GOV/G01/dancu/giay-phep"
    assert published.status == 0, published.err
    agree(country, service, "G01")
    wanted = ("--data", json.dumps({"so_dinh_danh": "031099990019"}))
    one = until(lambda: (c := country.call(service, *wanted)).status == 0 and c, PATIENCE_S, "the agreement counts")
    everybody = country.call(service)

    assert without.status == 1
    assert "urn:lienthong:problem:subjects-missing" in without.err
    assert one.json["rows"] == [{"so_dinh_danh": "031099990019", "hang": "C", "cap_ngay": "2021-07-09"}]
    assert (everybody.status, everybody.out) == (1, "")
    # The address holds the account's password: it stays in the node.
    told = country.http.get(f"{node['public_url']}/v1/services").text
    assert service in told
    assert "postgresql://" not in told + published.out


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("/nowhere/truong.csv", "--member", "G12", "--title", "T", "--yes"), 2),
        (("/nowhere/truong.csv", "--member", "G12", "--title", "T", "--class", "secret", "--yes"), 2),
        (("/nowhere/truong.csv", "--title", "T"), 2),
        ((__file__, "--member", "G99", "--title", "T", "--yes"), 2),
        ((__file__, "--member", "G12", "--title", "T", "--yes"), 1),
        (("postgresql:///nowhere?host=/nowhere#public.t", "--member", "G12", "--title", "T", "--yes"), 1),
    ],
    ids=["no file", "no such class", "no member", "member of no node here", "not a table", "no database"],
)
def test_what_can_not_be_published_is_refused_and_nothing_is_left(country: Country, arguments, status: int):
    before = country.http.get(f"{country.node('G12')['public_url']}/v1/services").json()

    refused = country.run("publish", *arguments)

    assert refused.status == status, refused.err
    assert refused.err
    assert country.http.get(f"{country.node('G12')['public_url']}/v1/services").json() == before
    assert country.call(CITIZEN, "--data", '{"personal_number": "031099990001"}').status == 0
