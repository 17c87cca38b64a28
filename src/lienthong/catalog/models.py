"""Services and their fields as values; making one checks it.

``Service.public()`` is the only form that leaves the node: it lacks the source.  No I/O here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from lienthong.directory.models import DatasetId, MemberId, ServiceId, SystemId, member_of, system_of
from lienthong.errors import Problem
from lienthong.i18n import T

FieldType = Literal["string", "integer", "decimal", "double", "boolean", "date", "timestamp"]
SubjectKind = Literal["personal_number", "enterprise", "parcel"]
SubjectPlace = Literal["request", "response"]
Sharing = Literal["open", "shared", "private"]
TableKind = Literal["postgres", "csv", "parquet"]

MAX_DECIMAL_PRECISION = 38
DEFAULT_DECIMAL = (38, 10)
"""Precision and scale of a decimal field that declares none."""

_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,63}")


class ServiceNotValid(Problem):
    """A service description contradicts itself or lacks what the law or the contracts ask."""

    kind = "service-not-valid"
    status = 422
    side = "caller"
    title = T("The service can not be published as described")


class SubjectsMissing(ServiceNotValid):
    """The service holds personal data but does not say where the person is named."""

    kind = "subjects-missing"
    title = T("A personal service must say where it names the person")


class OpenPersonal(ServiceNotValid):
    """Open data is for everybody without agreement or record of persons: it can hold no personal data (R-54)."""

    kind = "open-personal"
    title = T("A personal service can not be open data")


@dataclass(frozen=True, slots=True)
class Field:
    """One leaf of the published schema.

    ``name`` is a column name for tables and an RFC 9535 path for JSON: the same string stands in agreement, mask,
    record and page.  Timestamps are in UTC where the source knows the zone, else as the source holds them.
    """

    name: str
    type: FieldType
    title_vi: str = ""
    title_en: str = ""
    personal: bool = False
    nullable: bool = True
    precision: int | None = None
    """Digits of a decimal in all, 1 to 38; None for other types or when the source declares none."""
    scale: int | None = None
    """Digits of a decimal after the point."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ServiceNotValid(T("A field's name must have 1 to 63 printable characters."))
        if self.type not in get_args(FieldType):
            raise ServiceNotValid(T("{field} has the unknown type {type}."), field=self.name, type=self.type)
        precision, scale = self.decimal_shape
        if not (1 <= precision <= MAX_DECIMAL_PRECISION and 0 <= scale <= precision):
            raise ServiceNotValid(T("{field}: a decimal has 1 to 38 digits."), field=self.name)

    @property
    def decimal_shape(self) -> tuple[int, int]:
        """Precision and scale with the defaults filled in."""
        if self.precision is None:
            return DEFAULT_DECIMAL
        return self.precision, self.scale or 0


@dataclass(frozen=True, slots=True)
class Subject:
    """Where the person, firm or parcel a use is about is named: a column of a table, or an RFC 9535 path of JSON."""

    where: SubjectPlace
    select: str
    kind: SubjectKind


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """How to read a CSV file, settled at publication and never guessed again."""

    encoding: str = "utf-8"
    """Python's name of the encoding."""
    delimiter: str = ","
    quote: str = '"'
    header: bool = True
    null: str = ""
    """The text that stands for an absent value."""


@dataclass(frozen=True, slots=True)
class TableSource:
    """Where a table's rows lie.  Never leaves the node: ``dsn`` holds a password."""

    kind: TableKind
    dsn: str = ""
    relation: str = ""
    """``schema.table`` of a PostgreSQL table or view, unquoted."""
    path: str = ""
    """Absolute path of a CSV or Parquet file."""
    columns: tuple[tuple[str, str], ...] = ()
    """(field name, type in the source), for PostgreSQL as ``format_type`` spells it."""
    csv: CsvFormat | None = None

    def __repr__(self) -> str:
        return f"TableSource({self.kind})"  # a dsn must not reach a log by accident


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of an HTTP service; ``path`` is a template such as ``/citizens/{id}``."""

    method: str
    path: str


@dataclass(frozen=True, slots=True)
class HttpSource:
    """The back end an HTTP service forwards to.  Never leaves the node."""

    url: str
    """Address the rest of the path is appended to."""
    timeout_s: float = 10.0
    ca: str | None = None
    """PEM file of the authority the back end's certificate must come from; None: the system's."""
    guarded: bool = False
    """Whether an officer typed it, so that the addresses of its name are looked at before each connection."""

    def __repr__(self) -> str:
        return "HttpSource()"


Source = TableSource | HttpSource


@dataclass(frozen=True, slots=True)
class Service:
    """One published service of a system: a table (called, taken, queried) or an HTTP back end (called)."""

    id: ServiceId
    kind: Literal["table", "http"]
    title_vi: str
    title_en: str
    sharing: Sharing
    fields: tuple[Field, ...]
    dataset: DatasetId | None = None
    personal: bool = False
    subjects: tuple[Subject, ...] = ()
    lookup: tuple[str, ...] = ()
    """Columns a call may filter on, by equality."""
    required_lookup: bool = False
    """True: a call without any lookup is refused (always so for personal tables)."""
    key: tuple[str, ...] = ()
    """Columns that name a row; rows are paged and files sorted by them."""
    legal_basis: str = ""
    synthetic: bool = False
    timeout_s: float = 10.0
    endpoints: tuple[Endpoint, ...] = ()
    openapi: str = ""
    """OpenAPI text of an HTTP service; a table's is generated."""
    enabled: bool = True
    version: int = 1
    """Grows with every change of the description."""
    source: Source | None = None
    """None in a description that came from another node."""

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise ServiceNotValid(T("Two fields bear the same name."))
        if self.kind == "table":
            _check_table(self, frozenset(names))
        if self.personal and not any(subject.where == "response" for subject in self.subjects):
            raise SubjectsMissing(
                T("{service} holds personal data but does not select the person in its answers."),
                mend=T("Name the column or path that holds the personal number, e.g. --subjects personal_number."),
                service=self.id,
            )
        if self.sharing == "open" and (self.personal or any(field.personal for field in self.fields)):
            raise OpenPersonal(
                T("{service} holds personal data: it can not be published as open data."),
                mend=T("Publish it as shared, or open a table without personal columns made from it."),
                service=self.id,
            )

    @property
    def member(self) -> MemberId:
        """The member that answers for this service."""
        return member_of(self.id)

    @property
    def system(self) -> SystemId:
        """The system that serves it."""
        return system_of(self.id)

    @property
    def is_open_table(self) -> bool:
        """Whether anybody may read it."""
        return self.kind == "table" and self.sharing == "open" and self.enabled

    @property
    def name(self) -> str:
        """The last part of the id."""
        return self.id.rsplit("/", 1)[1]

    def field(self, name: str) -> Field | None:
        """The field called ``name``, or None."""
        return next((field for field in self.fields if field.name == name), None)

    def public(self) -> dict[str, object]:
        """What other nodes and people may see: everything but the source.  Plain JSON values."""
        return {
            "id": self.id,
            "kind": self.kind,
            "title_vi": self.title_vi,
            "title_en": self.title_en,
            "sharing": self.sharing,
            "dataset": self.dataset,
            "personal": self.personal,
            "fields": [_field_json(field) for field in self.fields],
            "subjects": [{"where": s.where, "select": s.select, "kind": s.kind} for s in self.subjects],
            "lookup": list(self.lookup),
            "required_lookup": self.required_lookup,
            "key": list(self.key),
            "legal_basis": self.legal_basis,
            "synthetic": self.synthetic,
            "timeout_s": self.timeout_s,
            "endpoints": [{"method": e.method, "path": e.path} for e in self.endpoints],
            "openapi": self.openapi,
            "enabled": self.enabled,
            "version": self.version,
        }


def service_from_public(described: Mapping[str, object], source: Source | None = None) -> Service:
    """The Service that ``public()`` described.  Unknown keys are ignored (a newer node may say more).

    Raises ServiceNotValid when a key is missing or has the wrong shape.
    """
    try:
        return Service(
            id=ServiceId(_text(described["id"])),
            kind=cast("Literal['table', 'http']", _one_of(described["kind"], ("table", "http"))),
            title_vi=_text(described["title_vi"]),
            title_en=_text(described["title_en"]),
            sharing=cast("Sharing", _one_of(described["sharing"], get_args(Sharing))),
            dataset=DatasetId(_text(described["dataset"])) if described.get("dataset") else None,
            personal=described.get("personal") is True,
            fields=tuple(_field_from(entry) for entry in _entries(described["fields"])),
            subjects=tuple(_subject_from(entry) for entry in _entries(described.get("subjects", ()))),
            lookup=_texts(described.get("lookup", ())),
            required_lookup=described.get("required_lookup") is True,
            key=_texts(described.get("key", ())),
            legal_basis=_text(described.get("legal_basis", "")),
            synthetic=described.get("synthetic") is True,
            timeout_s=float(cast("float", described.get("timeout_s", 10.0))),
            endpoints=tuple(
                Endpoint(_text(entry["method"]), _text(entry["path"]))
                for entry in _entries(described.get("endpoints", ()))
            ),
            openapi=_text(described.get("openapi", "")),
            enabled=described.get("enabled", True) is True,
            version=int(cast("int", described.get("version", 1))),
            source=source,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as wrong:
        raise ServiceNotValid(T("The description of a service is not as published: {why}."), why=str(wrong)) from wrong


def source_json(source: Source | None) -> dict[str, object] | None:
    """``source`` as JSON values for the node's own database and sandbox; never for anybody else."""
    if source is None:
        return None
    if isinstance(source, HttpSource):
        told = {"url": source.url, "timeout_s": source.timeout_s, "ca": source.ca, "guarded": source.guarded}
        return {"http": told}
    csv = source.csv
    return {
        "table": {
            "kind": source.kind,
            "dsn": source.dsn,
            "relation": source.relation,
            "path": source.path,
            "columns": [list(pair) for pair in source.columns],
            "csv": None
            if csv is None
            else {
                "encoding": csv.encoding,
                "delimiter": csv.delimiter,
                "quote": csv.quote,
                "header": csv.header,
                "null": csv.null,
            },
        }
    }


def source_from(stored: Mapping[str, object] | None) -> Source | None:
    """The Source that ``source_json`` wrote."""
    if stored is None:
        return None
    if "http" in stored:
        http = cast("Mapping[str, object]", stored["http"])
        ca = http["ca"]
        return HttpSource(
            url=_text(http["url"]),
            timeout_s=float(cast("float", http["timeout_s"])),
            ca=None if ca is None else _text(ca),
            guarded=http.get("guarded") is True,
        )
    table = cast("Mapping[str, object]", stored["table"])
    csv = cast("Mapping[str, object] | None", table["csv"])
    return TableSource(
        kind=cast("TableKind", _one_of(table["kind"], get_args(TableKind))),
        dsn=_text(table["dsn"]),
        relation=_text(table["relation"]),
        path=_text(table["path"]),
        columns=tuple((pair[0], pair[1]) for pair in cast("Sequence[Sequence[str]]", table["columns"])),
        csv=None
        if csv is None
        else CsvFormat(
            encoding=_text(csv["encoding"]),
            delimiter=_text(csv["delimiter"]),
            quote=_text(csv["quote"]),
            header=csv["header"] is True,
            null=_text(csv["null"]),
        ),
    )


def with_version(service: Service, version: int) -> Service:
    """``service`` as its ``version``-th description."""
    return replace(service, version=version)


def _check_table(service: Service, names: frozenset[str]) -> None:
    if not names:
        raise ServiceNotValid(T("A table needs at least one field."))
    named = {*service.lookup, *service.key, *(subject.select for subject in service.subjects)}
    if unknown := sorted(named - names):
        raise ServiceNotValid(
            T("{fields}: named as subject, lookup or key, but the table has no such column."),
            fields=", ".join(unknown),
        )
    if any(subject.where == "request" and subject.select not in service.lookup for subject in service.subjects):
        raise ServiceNotValid(T("A subject of the request must be one of the lookup columns."))
    if service.personal and not service.required_lookup:
        raise ServiceNotValid(T("A personal table is called with a lookup only."))


def _field_json(field: Field) -> dict[str, object]:
    written: dict[str, object] = {
        "name": field.name,
        "type": field.type,
        "title_vi": field.title_vi,
        "title_en": field.title_en,
        "personal": field.personal,
        "nullable": field.nullable,
    }
    if field.precision is not None:
        written |= {"precision": field.precision, "scale": field.scale or 0}
    return written


def _field_from(entry: Mapping[str, object]) -> Field:
    precision = cast("int | None", entry.get("precision"))
    return Field(
        name=_text(entry["name"]),
        type=cast("FieldType", _text(entry["type"])),
        title_vi=_text(entry.get("title_vi", "")),
        title_en=_text(entry.get("title_en", "")),
        personal=entry.get("personal") is True,
        nullable=entry.get("nullable", True) is True,
        precision=precision,
        scale=None if precision is None else cast("int", entry.get("scale", 0)),
    )


def _subject_from(entry: Mapping[str, object]) -> Subject:
    return Subject(
        where=cast("SubjectPlace", _one_of(entry["where"], get_args(SubjectPlace))),
        select=_text(entry["select"]),
        kind=cast("SubjectKind", _one_of(entry["kind"], get_args(SubjectKind))),
    )


def _entries(listed: object) -> list[Mapping[str, object]]:
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise TypeError("a list was expected")
    return [cast("Mapping[str, object]", entry) for entry in cast("Sequence[object]", listed)]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def _texts(listed: object) -> tuple[str, ...]:
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise TypeError("a list was expected")
    return tuple(_text(entry) for entry in cast("Sequence[object]", listed))


def _one_of(value: object, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
    return cast("str", value)
