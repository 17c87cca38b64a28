"""The words of the Delta Sharing protocol: what is said about shares, tables and files.  Pure.

Source: PROTOCOL.md of the Delta Sharing project, responses in ``parquet`` format; checked with its official client.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import cast

from lienthong.catalog.models import Field, Service
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.tables.models import TableFile, TableVersion
from lienthong.tables.prune import hint_predicate, may_hold
from lienthong.tables.share import table_name

VERSION_HEADER = "delta-table-version"
CAPABILITIES_HEADER = "delta-sharing-capabilities"
NDJSON = "application/x-ndjson; charset=utf-8"
MAX_QUERY_BYTES = 256 * 1024
_TYPES = {
    "string": "string", "integer": "long", "double": "double", "boolean": "boolean", "date": "date",
    "timestamp": "timestamp",
}  # fmt: skip
_NAMESPACE = uuid.UUID("6f2c1a8e-3d0b-5b7e-9a44-1c5d7b0e2f31")


class BadTableQuery(Problem):
    """The body of a table query is not what the protocol describes, or asks for what is not kept."""

    kind = "bad-table-query"
    status = 400
    side = "caller"
    title = T("The table can not be asked like this")


def share_item(service: Service) -> dict[str, object]:
    """A share in a listing."""
    name = table_name(service).share
    return {"name": name, "id": _id("share", name)}


def schema_item(service: Service) -> dict[str, object]:
    """A schema in a listing."""
    place = table_name(service)
    return {"name": place.schema, "share": place.share}


def table_item(service: Service) -> dict[str, object]:
    """A table in a listing."""
    place = table_name(service)
    return {
        "name": place.table,
        "schema": place.schema,
        "share": place.share,
        "shareId": _id("share", place.share),
        "id": _id("table", service.id),
    }


def listing(items: Sequence[Mapping[str, object]], max_results: str | None, page_token: str | None) -> bytes:
    """One page of distinct ``items`` by their order, as one line of JSON (clients read the first line only).

    Raises BadTableQuery for a page token this node did not give.
    """
    distinct = list({json.dumps(item, sort_keys=True): item for item in items}.values())
    start, size = _whole(page_token or "0"), _whole(max_results or "500")
    page = distinct[start : start + size]
    answer: dict[str, object] = {"items": page}
    if page and start + size < len(distinct):
        answer["nextPageToken"] = str(start + size)
    return json.dumps(answer, ensure_ascii=False).encode()


def metadata_lines(service: Service, fields: Sequence[Field], version: TableVersion | None) -> list[dict[str, object]]:
    """Protocol and metadata; sizes stand there once files were made."""
    described: dict[str, object] = {
        "id": _id("table", service.id),
        "name": service.title_en or service.title_vi,
        "description": service.title_vi,
        "format": {"provider": "parquet"},
        "schemaString": json.dumps({"type": "struct", "fields": [_column(field) for field in fields]}),
        "partitionColumns": [],
        "configuration": {},
    }
    if version is not None:
        described |= {"version": version.version, "size": version.size_bytes, "numFiles": len(version.files)}
    return [{"protocol": {"minReaderVersion": 1}}, {"metaData": described}]


def file_lines(
    version: TableVersion, chosen: Iterable[TableFile], address: Callable[[TableFile], str], expires: datetime
) -> list[dict[str, object]]:
    """One line for each file, with the address that opens it until ``expires``."""
    return [
        {
            "file": {
                "url": address(file),
                "id": _id("file", f"{version.service}/{version.view_digest}/{version.version}/{file.name}"),
                "partitionValues": {},
                "size": file.size_bytes,
                "stats": file.statistics,
                "version": version.version,
                "timestamp": int(version.made_at.timestamp() * 1000),
                "expirationTimestamp": int(expires.timestamp() * 1000),
            }
        }
        for file in chosen
    ]


def chosen_files(version: TableVersion, body: bytes) -> list[TableFile]:
    """The files a query's hints leave in.

    A limit hint stops once enough rows are in.  Raises BadTableQuery for a body that is no JSON object, or that asks
    for another version than the one kept.
    """
    try:
        asked = json.loads(body or b"{}")
    except ValueError as wrong:
        raise BadTableQuery(T("The body is not JSON.")) from wrong
    if not isinstance(asked, dict):
        raise BadTableQuery(T("The body is not a JSON object."))
    told = cast("dict[str, object]", asked)
    for name in ("timestamp", "startingVersion", "endingVersion"):
        if told.get(name) is not None:
            raise BadTableQuery(
                T("This node keeps no earlier versions of the table: {name} can not be used."), name=name
            )
    if told.get("version") not in (None, version.version):
        raise BadTableQuery(T("Only version {version} of the table is kept."), version=version.version)
    predicate = hint_predicate(version.fields, told.get("predicateHints"), told.get("jsonPredicateHints"))
    left = [file for file in version.files if may_hold(predicate, file.statistics)]
    limit = told.get("limitHint")
    if not isinstance(limit, int) or isinstance(limit, bool):
        return left
    enough: list[TableFile] = []
    for file in left:
        if sum(taken.rows for taken in enough) >= limit:
            break
        enough.append(file)
    return enough


def ndjson(lines: Iterable[Mapping[str, object]]) -> bytes:
    """One JSON value a line."""
    return b"".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for line in lines)


def problem_json(problem: Problem) -> dict[str, object]:
    """A Problem in the form Delta Sharing clients show, with our own members beside it."""
    return {
        "errorCode": problem.kind.upper().replace("-", "_"),
        "message": problem.detail("en"),
        **problem.as_dict("en"),
    }


def _column(field: Field) -> dict[str, object]:
    precision, scale = field.decimal_shape
    comment = " / ".join(filter(None, (field.title_vi, field.title_en)))
    return {
        "name": field.name,
        "type": f"decimal({precision},{scale})" if field.type == "decimal" else _TYPES[field.type],
        "nullable": field.nullable,
        "metadata": {"comment": comment} if comment else {},
    }


def _id(kind: str, name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, f"{kind}/{name}"))


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadTableQuery(T("maxResults and pageToken are whole numbers."))
    return int(text)
