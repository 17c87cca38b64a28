"""A PostgreSQL table or view becomes a service with its types, keys and titles, in place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from psycopg import AsyncConnection

from lienthong.catalog.models import Field, ServiceNotValid, Subject, SubjectsMissing, TableSource
from lienthong.catalog.publish import Found, PublishRequest, SourceNotFound, publish, subjects_from
from lienthong.catalog.queries import all_services, service_by_id, services_of_dataset, services_of_member
from lienthong.directory.models import DatasetId, MemberId, ServiceId
from lienthong.storage.provision import DatabaseDsns

SERVICE = ServiceId("VN/GOV/G01/dancu/citizen")
SUBJECTS = subjects_from("so_dinh_danh")

CITIZEN = """
CREATE SCHEMA dancu;
CREATE TYPE dancu.gioi_tinh AS ENUM ('nam', 'nữ');
CREATE TABLE dancu.citizen (
    so_dinh_danh text PRIMARY KEY,
    ho_ten varchar(100) NOT NULL,
    ngay_sinh date,
    gioi_tinh dancu.gioi_tinh,
    thu_nhap numeric(14, 2),
    tai_san numeric,
    diem double precision,
    con_song boolean NOT NULL DEFAULT true,
    so_con smallint,
    cap_nhat timestamptz,
    anh bytea,
    the jsonb,
    tep uuid,
    xa_id integer
);
CREATE INDEX ON dancu.citizen (xa_id);
COMMENT ON TABLE dancu.citizen IS 'Công dân';
COMMENT ON COLUMN dancu.citizen.ho_ten IS 'Họ và tên';
CREATE VIEW dancu.nguoi_lon AS SELECT so_dinh_danh, ho_ten FROM dancu.citizen;
CREATE TABLE dancu.kin_dao (bi_mat text);
"""


@pytest.fixture
async def source(database: DatabaseDsns) -> AsyncIterator[str]:
    """DSN of an account that may read ``dancu.citizen`` and the view, not the third table."""
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute(CITIZEN)
        owner.execute("GRANT USAGE ON SCHEMA dancu TO PUBLIC; GRANT SELECT ON dancu.citizen, dancu.nguoi_lon TO PUBLIC")
    return database.app


def a_request(source: str, **changes: object) -> PublishRequest:
    asked: dict[str, object] = {"personal": True, "subjects": SUBJECTS, **changes}
    return PublishRequest(service=SERVICE, source=source, **asked)  # type: ignore[arg-type]


async def test_a_table_is_published_with_types_key_and_titles(db: AsyncConnection, source: str) -> None:
    service = await publish(db, a_request(f"{source}#dancu.citizen"))

    types = {field.name: field.type for field in service.fields}
    assert types == {
        "so_dinh_danh": "string", "ho_ten": "string", "ngay_sinh": "date", "gioi_tinh": "string",
        "thu_nhap": "decimal", "tai_san": "decimal", "diem": "double", "con_song": "boolean", "so_con": "integer",
        "cap_nhat": "timestamp", "the": "string", "tep": "string", "xa_id": "integer",
    }  # fmt: skip
    assert (service.title_vi, service.key, service.lookup) == ("Công dân", ("so_dinh_danh",), ("so_dinh_danh", "xa_id"))
    name, paid, born = service.field("ho_ten"), service.field("thu_nhap"), service.field("ngay_sinh")
    assert name is not None
    assert paid is not None
    assert born is not None
    assert (name.title_vi, name.nullable, name.personal) == ("Họ và tên", False, True)
    assert (paid.precision, paid.scale) == (14, 2)
    assert born.title_vi == "ngay_sinh"


async def test_a_published_service_is_found_again_with_its_source(db: AsyncConnection, source: str) -> None:
    dataset = DatasetId("VN/GOV/G01/dancu/ds/citizen")
    service = await publish(db, a_request(f"{source}#dancu.citizen", dataset=dataset))

    assert await service_by_id(db, SERVICE) == service
    assert isinstance(service.source, TableSource)
    assert service.source.relation == "dancu.citizen"
    assert dict(service.source.columns)["cap_nhat"] == "timestamp with time zone"
    assert await all_services(db) == await services_of_member(db, MemberId("VN/GOV/G01")) == [service]
    assert await services_of_dataset(db, dataset) == [service]
    assert await services_of_member(db, MemberId("VN/GOV/G02")) == []


async def test_a_view_is_published_like_a_table(db: AsyncConnection, source: str) -> None:
    service = await publish(db, a_request(f"{source}#dancu.nguoi_lon"))

    assert [field.name for field in service.fields] == ["so_dinh_danh", "ho_ten"]
    assert service.key == ()


async def test_publishing_the_same_changes_nothing_and_something_else_raises_the_version(
    db: AsyncConnection, source: str
) -> None:
    first = await publish(db, a_request(f"{source}#dancu.citizen"))
    again = await publish(db, a_request(f"{source}#dancu.citizen"))
    changed = await publish(db, a_request(f"{source}#dancu.citizen", title_vi="Người dân"))

    assert (first.version, again.version, changed.version) == (1, 1, 2)


async def test_personal_data_without_selectors_is_refused_before_the_source_is_touched(db: AsyncConnection) -> None:
    with pytest.raises(SubjectsMissing) as refused:
        await publish(db, a_request("postgresql://nobody@127.0.0.1:1/none#public.t", subjects=()))

    assert refused.value.kind == "subjects-missing"


@pytest.mark.parametrize("relation", ["#dancu.gone", "#dancu.kin_dao", "#gone.citizen", ""])
async def test_what_is_not_there_or_not_readable_is_one_problem_with_a_mend(
    db: AsyncConnection, source: str, relation: str
) -> None:
    with pytest.raises(SourceNotFound) as refused:
        await publish(db, a_request(source + relation))

    assert refused.value.mend
    assert "postgresql" not in str(refused.value)


async def test_a_database_that_does_not_let_us_in_is_named_without_its_password(db: AsyncConnection) -> None:
    with pytest.raises(SourceNotFound) as refused:
        await publish(db, a_request("postgresql://reader:hunter2@127.0.0.1:1/none#public.t"))

    assert "hunter2" not in str(refused.value.as_dict())


async def test_a_file_is_looked_into_by_the_callers_inspector(db: AsyncConnection) -> None:
    found = Found(TableSource("csv", path="/d/a.csv"), (Field("xa", "string"),), key=("xa",), rows=2)

    async def look(path: Path) -> Found:
        assert path == Path("/d/a.csv")
        return found

    request = PublishRequest(service=SERVICE, source="/d/a.csv", title_vi="Xã", sharing="open")
    service = await publish(db, request, look=look)

    assert service.source == found.source
    assert service.key == ("xa",)


async def test_an_http_back_end_is_published_with_its_fields(db: AsyncConnection) -> None:
    request = PublishRequest(
        service=SERVICE,
        source="https://backend.invalid/api",
        title_vi="Công dân",
        personal=True,
        subjects=subjects_from("response:personal_number:$.number"),
        http_fields=(Field("$.number", "string"), Field("$.name", "string")),
    )

    service = await publish(db, request)

    assert service.kind == "http"
    assert service.source is not None
    assert await service_by_id(db, SERVICE) == service


async def test_something_else_is_not_published(db: AsyncConnection) -> None:
    with pytest.raises(SourceNotFound):
        await publish(db, PublishRequest(service=SERVICE, source="/d/a.xlsx"))


@pytest.mark.parametrize(
    ("selector", "subjects"),
    [
        ("n", [("request", "n", "personal_number"), ("response", "n", "personal_number")]),
        ("response:n", [("response", "n", "personal_number")]),
        ("enterprise:mst, request:parcel:thua", [
            ("request", "mst", "enterprise"), ("response", "mst", "enterprise"), ("request", "thua", "parcel"),
        ]),
    ],
)  # fmt: skip
def test_selectors_are_written_as_short_texts(selector: str, subjects: list[tuple[str, str, str]]) -> None:
    assert subjects_from(selector) == tuple(Subject(*subject) for subject in subjects)  # type: ignore[arg-type]


def test_a_selector_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ServiceNotValid):
        subjects_from("animal:n")
