"""The generated description says what a call accepts and what it answers."""

from __future__ import annotations

from typing import Any

import jsonschema
import orjson

from lienthong.catalog.models import TableSource
from lienthong.tables.models import Page, View
from lienthong.tables.openapi import openapi
from lienthong.tables.page import Wanted, page_json, page_of, read_columns
from tests.tables.people import citizens, people

SERVICE = citizens(TableSource("postgres"))
VIEW = View(fields=("number", "born", "area", "changed"), masks={"number": "partial", "area": "drop"})


def validated(described: dict[str, Any], instance: object, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator({**schema, "components": described["components"]}).validate(instance)


def test_an_answer_under_an_agreement_is_as_described() -> None:
    described: dict[str, Any] = openapi(SERVICE, VIEW)
    raw = [[person._asdict()[name] for name in read_columns(SERVICE, VIEW)] for person in people(40)]
    page: Page = page_of(SERVICE, VIEW, Wanted(limit=20), raw)

    validated(described, orjson.loads(page_json(page)), {"$ref": "#/components/schemas/Page"})

    assert list(described["components"]["schemas"]["Row"]["properties"]) == ["number", "born", "changed"]
    assert page.next_offset == 20


def test_a_personal_table_is_asked_by_post_with_at_least_one_lookup() -> None:
    described: dict[str, Any] = openapi(SERVICE)
    body = described["paths"]["/"]["post"]["requestBody"]["content"]["application/json"]["schema"]

    assert list(described["paths"]["/"]) == ["post"]
    validated(described, {"number": "001", "limit": 5}, body)
    for refused in ({}, {"limit": 5}, {"number": 5}, {"full_name": "x"}, {"number": "001", "limit": 5000}):
        assert not jsonschema.Draft202012Validator(body).is_valid(refused), refused


def test_a_table_without_persons_may_also_be_read_by_get() -> None:
    described: dict[str, Any] = openapi(
        citizens(TableSource("postgres"), personal=False, subjects=(), required_lookup=False)
    )

    names = [parameter["name"] for parameter in described["paths"]["/"]["get"]["parameters"]]
    assert names == ["number", "province", "income", "limit", "offset"]
