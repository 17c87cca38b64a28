"""What a service says about itself is checked when it is made, and its source never leaves the node."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lienthong.catalog.models import (
    CsvFormat,
    Field,
    HttpSource,
    Service,
    ServiceNotValid,
    Subject,
    SubjectsMissing,
    TableSource,
    service_from_public,
    source_from,
    source_json,
)
from lienthong.directory.models import DatasetId, ServiceId

SOURCE = TableSource("postgres", dsn="postgresql://reader:secret@db/people", relation="public.citizen")


def a_service(**changes: object) -> Service:
    service = Service(
        id=ServiceId("VN/GOV/G01/dancu/citizen"),
        kind="table",
        title_vi="Công dân",
        title_en="Citizens",
        sharing="shared",
        fields=(
            Field("number", "string", "Số định danh", personal=True),
            Field("paid", "decimal", precision=12, scale=2),
        ),
        dataset=DatasetId("VN/GOV/G01/dancu/ds/citizen"),
        personal=True,
        subjects=(Subject("request", "number", "personal_number"), Subject("response", "number", "personal_number")),
        lookup=("number",),
        required_lookup=True,
        key=("number",),
        source=SOURCE,
    )
    return replace(service, **changes)  # type: ignore[arg-type]


def test_the_public_description_gives_the_same_service_without_its_source() -> None:
    service = a_service()

    told = json.loads(json.dumps(service.public()))

    assert "secret" not in json.dumps(told)
    assert "dsn" not in json.dumps(told)
    assert service_from_public(told) == replace(service, source=None)
    assert service_from_public(told, SOURCE) == service


@pytest.mark.parametrize(
    "source",
    [
        SOURCE,
        TableSource("csv", path="/data/a.csv", columns=(("a", "BIGINT"),), csv=CsvFormat("utf-16", ";")),
        HttpSource("https://backend.example/api", 3.0, "/etc/ca.pem"),
        None,
    ],
)
def test_a_source_survives_its_way_to_the_database(source: TableSource | HttpSource | None) -> None:
    assert source_from(json.loads(json.dumps(source_json(source)))) == source


def test_a_password_is_in_no_representation_of_a_service() -> None:
    assert "secret" not in repr(a_service())


def test_a_personal_service_without_selectors_of_its_answers_is_refused() -> None:
    with pytest.raises(SubjectsMissing) as refused:
        a_service(subjects=(Subject("request", "number", "personal_number"),))

    assert refused.value.kind == "subjects-missing"
    assert refused.value.mend


@pytest.mark.parametrize(
    "changes",
    [
        {"subjects": (Subject("response", "nobody", "personal_number"),)},
        {"lookup": ("number", "gone")},
        {"key": ("gone",)},
        {"fields": (Field("number", "string"), Field("number", "date"))},
        {"fields": ()},
        {"lookup": ()},
        {"required_lookup": False},
    ],
)
def test_a_description_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ServiceNotValid):
        a_service(**changes)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 64, "nul\0"])
def test_a_field_needs_a_printable_name(name: str) -> None:
    with pytest.raises(ServiceNotValid):
        Field(name, "string")


def test_a_broken_description_from_another_node_is_one_defined_problem() -> None:
    for broken in ({}, {"id": 5}, {**a_service().public(), "kind": "view"}, {**a_service().public(), "fields": "no"}):
        with pytest.raises(ServiceNotValid):
            service_from_public(broken)
