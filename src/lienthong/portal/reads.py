"""What can be read under ``/v1/``, in words and types: one line a route, for the API's description.

A route without a line here is described from its own docstring, with every status that a door may answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from lienthong.i18n import T
from lienthong.identity.models import Right

Schema = dict[str, Any]  # Any: JSON Schema
TEXT: Final[Schema] = {"type": "string"}
MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
WHOLE: Final[Schema] = {"type": "integer", "minimum": 0}
FREE: Final[Schema] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Read:
    """One thing that can be read."""

    title: str
    """A message marked with ``T``."""
    answer: Schema
    right: Right | None = None
    person: bool = False
    """Whether somebody must be signed in, whatever their rights."""
    query: Mapping[str, Schema] = field(default_factory=dict[str, Schema])
    statuses: tuple[int, ...] = ()
    """What it may answer beside 200, 503 and what its right and its parameters lead to."""


def whole(**properties: Schema) -> Schema:
    """An object with these members, all of them always there."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def listed(items: Schema = FREE) -> Schema:
    """A list."""
    return {"type": "array", "items": items}


SHEET: Final = whole(at=MOMENT, total=WHOLE, page=WHOLE, pages=WHOLE, rows=listed())
"""One page of a table; ``Link`` names the next and the previous one (RFC 8288)."""
LEAFING: Final[Mapping[str, Schema]] = MappingProxyType(
    {
        "q": {"type": "string", "maxLength": 200, "description": "Words to look for, with or without diacritics."},
        "page": {"type": "integer", "minimum": 1, "maximum": 999_999},
        "per_page": {"type": "integer", "minimum": 1, "maximum": 500},
    }
)
DAY: Final[Schema] = {"type": "string", "format": "date", "description": "As of this day, 2004 to 2099; else today."}


def sheet(title: str, *, dated: bool = False) -> Read:
    """A table that can be searched and leafed through."""
    query = {**LEAFING, "day": DAY} if dated else LEAFING
    return Read(title, SHEET, query=query, statuses=(400,) if dated else ())


ROWS: Final[Mapping[str, Schema]] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
    "offset": {"type": "integer", "minimum": 0, "maximum": 100_000},
}
BEFORE: Final[Schema] = {"type": "integer", "minimum": 1, "description": "Go on from here, as the last answer said."}
_OPEN: Final = "/v1/open/{instance}/{kind}/{member}/{system}/{name}"
_OPEN_STATUSES: Final = (400, 404, 413, 422, 429, 502, 504)

READS: Final[Mapping[str, Read]] = MappingProxyType(
    {
        "/v1/me": Read(T("Who I am here and what I may do"),
                       whole(person=TEXT, roles=listed(TEXT), rights=listed(TEXT)), person=True),
        "/v1/session": Read(T("The form token of the own session"), whole(form_token=TEXT), person=True),
        "/v1/work": Read(T("What waits for me"), whole(whole={"type": "boolean"}, todos=listed()), person=True),
        "/v1/mine": Read(T("Who used data about me, and my cases"),
                         whole(uses=listed(), not_looked_through=WHOLE, cases=listed()), Right.SEE_OWN),
        "/v1/persons": Read(T("Persons of the own member"), whole(persons=listed()), Right.MANAGE_PERSONS),
        "/v1/proposals": Read(T("What waits for a second person"), whole(proposals=listed()), Right.APPROVE_TRUST),
        "/v1/audit": Read(T("Administrative acts, newest first"), whole(acts=listed()), Right.SEE_AUDIT,
                          query={"before": BEFORE}),
        "/v1/tokens": Read(T("My API tokens and open sessions"), whole(tokens=listed(), sessions=listed()),
                           person=True),
        "/v1/requests": Read(T("Requests for access that wait"), whole(requests=listed()), Right.SEE_AGREEMENTS),
        "/v1/requests/{pid}": Read(T("One request for access with its terms"), whole(id=TEXT, permissions=listed()),
                                   Right.SEE_AGREEMENTS),
        "/v1/own/agreements": Read(T("Agreements of the own member"), whole(agreements=listed()),
                                   Right.SEE_AGREEMENTS),
        "/v1/own/systems": Read(T("Systems of the own member, purposes and what they may use"),
                                whole(listener=TEXT, systems=listed(), purposes=listed(), usable=listed()),
                                Right.ASK_ACCESS),
        "/v1/own/calls": Read(T("Calls of the own member's systems, errors explained"), whole(calls=listed()),
                              Right.SEE_CALLS, query={"before": BEFORE}),
        "/v1/own/findings": Read(T("What the doctor found wrong with the node"),
                                 whole(at={"type": ["string", "null"]}, findings=listed()), Right.SEE_HEALTH),
        "/v1/own/keys": Read(T("Keys and certificates of this node, by what is public of them"),
                             whole(at=MOMENT, node=TEXT, directory={"type": ["integer", "null"]}, keys=listed()),
                             Right.SEE_HEALTH),
        "/v1/own/connectors": Read(T("Sources behind the own services, and whether they answer"),
                                   whole(connectors=listed()), Right.SEE_HEALTH),
        "/v1/own/quotas": Read(T("Daily quotas of the own agreements, and how much of them is used"),
                               whole(at=MOMENT, whole={"type": "boolean"}, unlimited=WHOLE, quotas=listed()),
                               Right.SEE_AGREEMENTS),
        "/v1/cases": sheet(T("Cases and their time limits")),
        "/v1/cases/{case}": Read(T("One case with its history"), whole(id=TEXT, state=TEXT, version=WHOLE,
                                 events=listed()), person=True),
        "/v1/feedback/{code}": Read(T("How feedback stands"), whole(code=TEXT, state=TEXT)),
        "/v1/members": sheet(T("Members"), dated=True),
        "/v1/members/{id:path}": Read(T("One member with its systems"), FREE),
        "/v1/nodes": sheet(T("Nodes")),
        "/v1/directory": Read(T("The directory that this node acts on"), FREE),
        "/v1/directory/versions": sheet(T("Changes of the directory")),
        "/v1/services": Read(T("Services of this node"), whole(services=listed())),
        "/v1/services/{id:path}": Read(T("One service"), FREE),
        "/v1/services/{id:path}/openapi.json": Read(T("The OpenAPI description of a service"),
                                                    whole(openapi=TEXT, paths=FREE)),
        "/v1/agreements": Read(T("Agreements in force, as they were signed"), whole(agreements=listed())),
        "/v1/agreements/{digest}": Read(T("One agreement, as it was signed"), whole(digest=TEXT, document=TEXT)),
        "/v1/uses": Read(T("The newest uses of data"), whole(uses=listed(), counts=listed()), query={
            "limit": {"type": "integer", "minimum": 1, "maximum": 1000}, "before": BEFORE,
            "exchange": {"type": "string", "maxLength": 100},
        }),
        "/v1/live": sheet(T("Live exchange")),
        "/v1/journal": Read(T("The log, its witnesses and timestamps"), whole(witnesses=listed(), heads=listed())),
        "/v1/status": Read(T("Health of this node, part by part"), whole(at=MOMENT, status=TEXT, parts=listed())),
        "/v1/legal": sheet(T("Legal bases of the rules in force"), dated=True),
        "/v1/visits": sheet(T("Visits of pages")),
        "/v1/figures": Read(T("The figures of the front page"), whole(figures=listed())),
        "/v1/figures/{key}": Read(T("One figure with the view it stands on"), whole(
            key=TEXT, value=WHOLE, at=MOMENT, view=TEXT, sql=TEXT, columns=listed(TEXT), rows=listed(listed({})))),
        "/v1/pictures": Read(T("What the pictures show, as tables"), whole(at=MOMENT, pictures=listed())),
        "/v1/reconciliation": Read(T("Whether both sides of uses tell the same, by day"),
                                   whole(node=TEXT, days=listed())),
        "/v1/open": Read(T("Open tables of this node"), whole(services=listed())),
        f"{_OPEN}/rows": Read(T("Rows of an open table"), whole(rows=listed()), query=ROWS, statuses=_OPEN_STATUSES),
        f"{_OPEN}/files": Read(T("Parquet files of an open table"), whole(version=WHOLE, files=listed()),
                               statuses=_OPEN_STATUSES),
        f"{_OPEN}/query": Read(T("One SELECT over an open table"), FREE, query={"sql": {"type": "string"}},
                               statuses=_OPEN_STATUSES),
    }
)  # fmt: skip
"""Template of a route -> what it answers."""
