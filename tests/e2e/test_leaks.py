"""No person leaves a trace where others can read: not in logs, not in a log's leaves, not in receipts or ``/v1``."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from lienthong.trust.tiles import TileReader
from tests.e2e.country import (
    ANALYSIS_SYSTEM,
    CITIZEN,
    ONE_STOP,
    ONE_STOP_SYSTEM,
    Country,
    until,
)

pytestmark = pytest.mark.e2e

OFFICER, CASE = "canbo-7731", "HS-2026-000417"


def use_in_every_way(country: Country, person: dict[str, str]) -> None:
    """Good and bad uses that carry the person wherever a caller can put something."""
    number, name = person["personal_number"], person["full_name"]
    http, url = country.http, country.client_url
    system = {"X-Road-Client": ONE_STOP_SYSTEM, "Lienthong-Purpose": ONE_STOP}
    service = f"{url}/r1/{CITIZEN}"
    with_case = system | {"X-Road-Issue": CASE, "X-Road-UserId": OFFICER}
    statuses = [
        http.post(service, json={"personal_number": number}, headers=with_case).status_code,
        http.get(service, params={"personal_number": number}, headers=system).status_code,
    ]
    assert statuses == [200, 200]
    refused = [
        http.get(f"{service}/{number}", headers=system),
        http.get(service, params={"personal_number": number, "full_name": name}, headers=system),
        http.post(service, json={"personal_number": number}, headers=system | {"Lienthong-Purpose": "HP-XX"}),
        http.post(service, json={"personal_number": number, number: name}, headers=system),
        http.post(service, content=f'{{"personal_number": "{number}", "{name}'.encode(), headers=system),
        http.get(f"{url}/log/receipt/{number}"),
        http.get(f"{url}/{quote(name)}?x={number}"),
        http.get(f"{country.node('G01')['public_url']}/records/{number}"),
    ]
    assert all(answer.status_code >= 400 for answer in refused), [answer.status_code for answer in refused]
    for sql in (
        f"SELECT full_name, phone FROM g01.dancu.citizen WHERE personal_number = '{number}'",
        f"SELECT full_name AS \"{name}\" FROM g01.dancu.citizen WHERE full_name = '{name}'",
        f"SELECT household_id FROM g01.dancu.citizen WHERE personal_number = '{number}'",
        f"SELECT CAST('{name}' AS INTEGER) AS n FROM g01.dancu.citizen",
        f"SELECT '{number}",
        f'SELECT n FROM g01.dancu."{number}"',
    ):
        for asking in (ONE_STOP_SYSTEM, ANALYSIS_SYSTEM):
            http.post(f"{url}/sql", json={"sql": sql, "purpose": ONE_STOP}, headers={"X-Road-Client": asking})


def public_texts(country: Country) -> Iterator[tuple[str, str]]:
    """Everything that a stranger or an operator may read, by where it stands."""
    for path in [*sorted((country.folder / "logs").iterdir()), country.demo.cluster / "server.log"]:
        yield str(path), path.read_text()
    for node in country.nodes:
        public = node["public_url"]
        for path in ("/", "/en/", "/v1/services", "/v1/agreements", "/v1/uses?limit=500"):
            answer = country.http.get(public + path)
            assert answer.status_code == 200, public + path
            yield public + path, answer.text
        for path in ("/metrics", "/monitoring", "/reconciliation"):
            for system in node["systems"]:
                told = country.http.get(node["client_url"] + path, headers={"X-Road-Client": system})
                assert told.status_code == 200, path
                yield f"{path} of {system}", told.text
        checkpoint = country.http.get(f"{public}/log/checkpoint").text
        tiles = TileReader(
            lambda path, base=public: read(country, f"{base}/log/{path}"), int(checkpoint.split("\n")[1])
        )
        for index, leaf in enumerate(tiles.entries()):
            yield f"leaf {index} of {node['node']}", leaf.decode()
        for use in country.json(f"{public}/v1/uses?limit=500")["uses"]:
            receipt = country.http.get(f"{public}/log/receipt/{use['hash']}").text
            yield f"receipt {use['hash']} of {node['node']}", receipt
            for message in (json.loads(receipt)["messages"] or {}).values():
                if message:
                    yield f"message of receipt {use['hash']}", base64.b64decode(message["base"]).decode()


def read(country: Country, address: str) -> bytes | None:
    answer = country.http.get(address)
    return answer.content if answer.status_code == 200 else None


def test_no_person_stands_in_logs_leaves_public_receipts_or_the_public_api(country: Country):
    person = next(person for person in country.people() if person["phone"])
    use_in_every_way(country, person)
    for code in ("H24", "G01"):
        country.receipt(country.node(code)["public_url"], country.uses(code)[0]["hash"])

    words = {person[column] for column in ("personal_number", "full_name", "phone", "address", "household_id")}
    words |= {each[column] for each in country.people() for column in ("personal_number", "phone") if each[column]}
    words |= {quote(person["full_name"]), json.dumps(person["full_name"])[1:-1]}
    texts = list(public_texts(country))

    assert [(where, word) for where, text in texts for word in words if word in text] == []
    # The search would have found something: what may stand there does.
    assert any(CITIZEN in text for where, text in texts if where.startswith("leaf"))
    assert any("lienthong-service" in text for where, text in texts if where.startswith("message"))
    assert any(where.endswith("nut-h24.log") and "client.refused" in text for where, text in texts)


@pytest.mark.parametrize(
    ("service", "purpose"),
    [("VN/GOV/G01/dancu/{number}", ONE_STOP), (CITIZEN, "{number}")],
    ids=["in the service's place", "in the purpose's place"],
)
def test_a_person_mistyped_into_an_identifier_does_not_come_into_the_log(country: Country, service: str, purpose: str):
    # A number of the right shape that nobody bears: this log is looked through for everybody else's.
    number = "099099999999"
    refused = country.http.post(
        f"{country.client_url}/r1/{service.format(number=number)}",
        headers={"X-Road-Client": ONE_STOP_SYSTEM, "Lienthong-Purpose": purpose.format(number=number)},
        json={},
    )
    assert refused.status_code >= 400

    # A refusal equal to one of the last minute is only counted: a good call afterwards shows the log is up to date.
    good = country.http.post(
        f"{country.client_url}/r1/{CITIZEN}",
        headers={"X-Road-Client": ONE_STOP_SYSTEM, "Lienthong-Purpose": ONE_STOP},
        json={"personal_number": country.people()[0]["personal_number"]},
    )
    record = good.headers["lienthong-record"]
    until(lambda: any(use["hash"] == record for use in country.uses("H24")), 20, "no record")
    assert number not in json.dumps(country.uses("H24"))


def test_what_a_caller_put_into_an_address_is_in_its_own_receipt_and_in_no_public_one(country: Country):
    number = country.people()[1]["personal_number"]
    answer = country.http.get(
        f"{country.client_url}/r1/{CITIZEN}",
        params={"personal_number": number},
        headers={"X-Road-Client": ONE_STOP_SYSTEM},
    )
    record = answer.headers["lienthong-record"]

    own = country.receipt(country.client_url, record)
    public = country.receipt(country.node("H24")["public_url"], record)

    assert number in base64.b64decode(own["messages"]["request"]["base"]).decode()
    assert (public["messages"], public["withheld"]) == (None, "messages")
    assert public["record"] == own["record"]
