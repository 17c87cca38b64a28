"""The OpenAPI 3.1 description of a table as a callable service, made from its published fields.  Pure.

Promises: what it says is what ``page`` accepts and answers; with a view it describes what that agreement shows.
"""

from __future__ import annotations

from lienthong.catalog.models import Field, Service
from lienthong.tables.models import View, shown_fields
from lienthong.tables.page import DEFAULT_ROWS, MAX_OFFSET, MAX_ROWS

_TYPES: dict[str, dict[str, object]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer", "format": "int64"},
    "decimal": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
    "double": {"type": "number", "format": "double"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "timestamp": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?$"},
}


def openapi(service: Service, view: View | None = None) -> dict[str, object]:
    """The description as JSON values; without ``view`` all published fields are described."""
    fields = shown_fields(service, view or View())
    lookups = [found for name in service.lookup if (found := service.field(name)) is not None]
    operations: dict[str, object] = {
        "post": {
            "operationId": f"ask_{service.name}",
            "summary": service.title_en,
            "description": "Identifiers travel in the body, so that no log on the way holds them.",
            "requestBody": {"required": service.required_lookup, "content": _json(_request(service, lookups))},
            "responses": _responses(),
        }
    }
    if not service.personal:
        operations["get"] = {
            "operationId": f"read_{service.name}",
            "summary": service.title_en,
            "parameters": [_parameter(found) for found in lookups] + [_paging(name) for name in ("limit", "offset")],
            "responses": _responses(),
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": service.title_vi,
            "summary": service.title_en,
            "version": str(service.version),
            "x-lienthong-service": service.id,
            "x-lienthong-personal": service.personal,
            "x-lienthong-synthetic": service.synthetic,
        },
        "paths": {"/": operations},
        "components": {
            "schemas": {
                "Row": {
                    "type": "object",
                    "required": [field.name for field in fields],
                    "properties": {field.name: _schema(field, answered=True) for field in fields},
                    "additionalProperties": False,
                },
                "Page": {
                    "type": "object",
                    "required": ["rows", "next_offset"],
                    "properties": {
                        "rows": {"type": "array", "maxItems": MAX_ROWS, "items": {"$ref": "#/components/schemas/Row"}},
                        "next_offset": {"type": ["integer", "null"]},
                    },
                },
            }
        },
    }


def _request(service: Service, lookups: list[Field]) -> dict[str, object]:
    described: dict[str, object] = {
        "type": "object",
        "properties": {found.name: _schema(found, answered=False) for found in lookups}
        | {name: _paging_schema(name) for name in ("limit", "offset")},
        "additionalProperties": False,
    }
    if service.required_lookup:
        described["anyOf"] = [{"required": [found.name]} for found in lookups]
    return described


def _schema(field: Field, *, answered: bool) -> dict[str, object]:
    described = dict(_TYPES[field.type])
    if answered and field.nullable:
        described["type"] = [described["type"], "null"]
    described["title"] = field.title_vi or field.name
    if field.title_en:
        described["description"] = field.title_en
    if field.personal:
        described["x-lienthong-personal"] = True
    return described


def _parameter(field: Field) -> dict[str, object]:
    return {"name": field.name, "in": "query", "schema": _schema(field, answered=False)}


def _paging(name: str) -> dict[str, object]:
    return {"name": name, "in": "query", "schema": _paging_schema(name)}


def _paging_schema(name: str) -> dict[str, object]:
    if name == "limit":
        return {"type": "integer", "minimum": 1, "maximum": MAX_ROWS, "default": DEFAULT_ROWS}
    return {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0}


def _responses() -> dict[str, object]:
    problem = {"content": {"application/problem+json": {"schema": {"type": "object"}}}}
    return {
        "200": {"description": "One page of rows", "content": _json({"$ref": "#/components/schemas/Page"})},
        "400": {"description": "The table can not be asked like this", **problem},
        "403": {"description": "No agreement allows this", **problem},
        "503": {"description": "The table is not available now", **problem},
    }


def _json(schema: dict[str, object]) -> dict[str, object]:
    return {"application/json": {"schema": schema}}
