"""Publishing: a PostgreSQL table or view, a CSV or Parquet file, or an HTTP back end becomes a catalogued service.

Promises: types, keys and titles come from the source itself; personal data is not published without subject selectors;
publishing the same again changes nothing, publishing something else raises the version.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, get_args
from urllib.parse import urlsplit

from lienthong.catalog.models import (
    MAX_DECIMAL_PRECISION,
    Endpoint,
    Field,
    FieldType,
    HttpSource,
    Service,
    ServiceNotValid,
    Sharing,
    Source,
    Subject,
    SubjectKind,
    SubjectPlace,
    SubjectsMissing,
    TableSource,
    with_version,
)
from lienthong.catalog.queries import (
    Column,
    describe_relation,
    lock_service,
    open_source,
    relation_is_readable,
    service_by_id,
    store_service,
)
from lienthong.directory.models import DatasetId, ServiceId
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.storage.pool import Connection

RESERVED_LOOKUPS = ("limit", "offset")
"""Names that page a call; a column of that name can not be a lookup."""

_PLACES: tuple[SubjectPlace, ...] = get_args(SubjectPlace)
_KINDS: tuple[SubjectKind, ...] = get_args(SubjectKind)
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_TYPES: Mapping[str, FieldType] = {
    "smallint": "integer", "integer": "integer", "bigint": "integer", "boolean": "boolean",
    "real": "double", "double precision": "double", "date": "date",
    "timestamp without time zone": "timestamp", "timestamp with time zone": "timestamp",
}  # fmt: skip
PERSONAL_NAMES: Final = re.compile(
    r"(so_)?dinh_danh|cccd|cmnd|personal|citizen|ho_(va_)?ten|full_?name|ngay_sinh|birth|phone|dien_thoai|email"
    # Whoever stands in a row for a firm, a parcel or a child is a person as well.
    r"|(representative|owner|holder|applicant|spouse|father|mother|guardian|director|resident)_?(name|number|no|id|code)"
    r"|(nguoi|chu)_(dai_dien|so_huu|su_dung|ho)|ma_so_thue_ca_nhan|passport|ho_chieu|(dia_chi|address)_(thuong_tru|home)",
    re.IGNORECASE,
)
"""Names of columns and leaves that sound as if they were about persons."""


class ServiceChanged(Problem):
    """Somebody published a service of this name after its description was begun."""

    kind = "service-changed"
    status = 409
    side = "caller"
    title = T("The service was changed meanwhile")


class SourceNotFound(Problem):
    """The database, table or file to publish is not there or can not be read."""

    kind = "source-not-found"
    status = 422
    side = "caller"
    title = T("There is nothing to publish at this place")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a source: its place, its fields, and what names a row."""

    source: Source
    fields: tuple[Field, ...]
    key: tuple[str, ...] = ()
    lookup: tuple[str, ...] = ()
    title: str = ""
    left_out: tuple[str, ...] = ()
    """Columns that can not be published (binary ones)."""
    rows: int | None = None
    """Rows counted, for files."""


FileInspector = Callable[[Path], Awaitable[Found]]
"""Looks into a CSV or Parquet file: the sandbox's ``inspect`` job, given by the caller."""


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """What the owner says about the service; everything else is read from the source."""

    service: ServiceId
    source: str
    """``postgresql://.../db#schema.table``, the path of a ``.csv`` or ``.parquet`` file, or ``http(s)://...``."""
    title_vi: str = ""
    title_en: str = ""
    sharing: Sharing = "shared"
    personal: bool = False
    subjects: tuple[Subject, ...] = ()
    lookup: tuple[str, ...] | None = None
    """Columns a call may filter on; None: the key, indexed columns and request subjects."""
    key: tuple[str, ...] | None = None
    """Columns that name a row; None: as found."""
    personal_fields: tuple[str, ...] = ()
    field_titles: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Field -> (Vietnamese, English) title; else the column's comment."""
    dataset: DatasetId | None = None
    legal_basis: str = ""
    synthetic: bool = False
    timeout_s: float = 10.0
    endpoints: tuple[Endpoint, ...] = ()
    openapi: str = ""
    http_fields: tuple[Field, ...] = ()
    """The leaves of an HTTP service's answers that agreements may name."""
    guarded: bool = False
    """Whether an officer typed the address (``HttpSource.guarded``)."""
    instead_of: int | None = None
    """The version that this one takes the place of, 0 for a new service; None: of whichever there is."""


async def publish(db: Connection, request: PublishRequest, *, look: FileInspector | None = None) -> Service:
    """Publish what ``request`` describes in this node's database and return it; the caller commits.

    ``look`` is needed for files.  Raises SourceNotFound, SubjectsMissing, ServiceNotValid.
    """
    if request.personal and not request.subjects:
        raise SubjectsMissing(
            T("{service} holds personal data but does not select the person in its answers."),
            mend=T("Name the column or path that holds the personal number, e.g. --subjects personal_number."),
            service=request.service,
        )
    if request.source.startswith(("http://", "https://")):
        described = _http_service(request)
    else:
        found = await find(request.source, look)
        described = describe(request, found)
    await lock_service(db, request.service)
    known = await service_by_id(db, request.service)
    if known is not None and with_version(described, known.version) == known:
        return known
    if request.instead_of not in (None, known.version if known else 0):
        raise ServiceChanged(
            T("{service} was published by somebody else while you described it; nothing was changed."),
            mend=T("Look at what stands there now, then describe it again or choose another short name."),
            service=request.service,
        )
    if known is not None:
        described = with_version(described, known.version + 1)
    await store_service(db, described)
    return described


async def find(source: str, look: FileInspector | None = None) -> Found:
    """What lies at ``source`` (see ``PublishRequest.source``), without publishing it.  Raises SourceNotFound."""
    if source.startswith(("postgresql://", "postgres://")):
        return await _found_relation(source)
    path = Path(source)
    if path.suffix.lower() not in (".csv", ".tsv", ".txt", ".parquet") or look is None:
        raise SourceNotFound(
            T("{source} is neither a PostgreSQL table nor a CSV or Parquet file."),
            mend=T("Write postgresql://account@host/database#schema.table, or the path of a .csv or .parquet file."),
            source=path.name,
        )
    return await look(path)


def subjects_from(selector: str) -> tuple[Subject, ...]:
    """Subjects from the text of ``--subjects``: ``column``, ``kind:column`` or ``request:kind:column``, by commas.

    Without a place the column is looked at in request and answer; without a kind it holds a personal number.
    Raises ServiceNotValid.
    """
    subjects: list[Subject] = []
    for part in filter(None, (piece.strip() for piece in selector.split(","))):
        *words, select = part.split(":")
        places: list[SubjectPlace] = [place for place in _PLACES if place in words] or list(_PLACES)
        kinds: list[SubjectKind] = [kind for kind in _KINDS if kind in words] or ["personal_number"]
        if len(kinds) > 1 or set(words) - {*_PLACES, *_KINDS}:
            raise ServiceNotValid(
                T("{selector} does not select a subject."),
                mend=T("Write a column, kind:column, or request:kind:column; kinds are {kinds}."),
                selector=part[:80],
                kinds=", ".join(_KINDS),
            )
        subjects += [Subject(place, select, kinds[0]) for place in places]
    return tuple(subjects)


def fields_of(columns: Sequence[Column]) -> tuple[tuple[Field, ...], tuple[str, ...]]:
    """Fields for a relation's columns, and the names of those left out (``bytea``)."""
    fields: list[Field] = []
    left_out: list[str] = []
    for column in columns:
        if column.type == "bytea":
            left_out.append(column.name)
            continue
        kind = _TYPES.get(column.type.split("(", 1)[0].strip() if "time zone" not in column.type else _untyped(column))
        precision = scale = None
        if column.type.startswith("numeric"):
            kind = "decimal"
            if (shape := _NUMERIC.fullmatch(column.type)) and int(shape[1]) <= MAX_DECIMAL_PRECISION:
                precision, scale = _decimal_shape(int(shape[1]), int(shape[2]))
        fields.append(
            Field(
                name=column.name,
                type=kind or "string",
                title_vi=column.comment,
                personal=bool(PERSONAL_NAMES.search(column.name)),
                nullable=column.nullable,
                precision=precision,
                scale=scale,
            )
        )
    return tuple(fields), tuple(left_out)


async def _found_relation(source: str) -> Found:
    dsn, _, relation = source.partition("#")
    schema, _, table = relation.rpartition(".")
    schema = schema or "public"
    if not table:
        raise SourceNotFound(
            T("The source does not name a table."), mend=T("Add #schema.table to the database's address.")
        )
    connection = await open_source(dsn)
    if connection is None:
        raise SourceNotFound(
            T("The database at {host} does not let this node in."),
            mend=T("Check address, account and password; the account needs SELECT on the table only."),
            host=urlsplit(dsn).hostname or "-",
        )
    async with connection:
        described = await describe_relation(connection, schema, table)
        if described is None or not await relation_is_readable(connection, schema, table):
            raise SourceNotFound(
                T("There is no table or view {relation} that the account may read."),
                mend=T("Check the name, and GRANT SELECT on it to the account."),
                relation=f"{schema}.{table}",
            )
    fields, left_out = fields_of(described.columns)
    published = {entry.name for entry in fields}
    return Found(
        source=TableSource(
            kind="postgres",
            dsn=dsn,
            relation=described.name,
            columns=tuple((column.name, column.type) for column in described.columns if column.name in published),
        ),
        fields=fields,
        key=described.key if set(described.key) <= published else (),
        lookup=tuple(name for name in described.indexed if name in published),
        title=described.comment,
        left_out=left_out,
    )


def describe(request: PublishRequest, found: Found) -> Service:
    """The service that publishing ``found`` as ``request`` would make; nothing is kept.  Raises ServiceNotValid."""
    if isinstance(found.source, HttpSource):
        return _http_service(replace(request, http_fields=found.fields))
    fields = tuple(_named(entry, request) for entry in found.fields)
    key = found.key if request.key is None else request.key
    lookup = request.lookup
    if lookup is None:
        asked = [subject.select for subject in request.subjects if subject.where == "request"]
        lookup = tuple(dict.fromkeys([*asked, *key, *found.lookup]))
    if taken := sorted(set(lookup) & set(RESERVED_LOOKUPS)):
        if request.lookup is not None:
            raise ServiceNotValid(T("A column called {name} can not be a lookup: it pages."), name=taken[0])
        lookup = tuple(name for name in lookup if name not in taken)
    title = request.title_vi or found.title
    return Service(
        id=request.service,
        kind="table",
        title_vi=title,
        title_en=request.title_en or title,
        sharing=request.sharing,
        fields=fields,
        dataset=request.dataset,
        personal=request.personal,
        subjects=request.subjects,
        lookup=lookup,
        required_lookup=request.personal,
        key=key,
        legal_basis=request.legal_basis,
        synthetic=request.synthetic,
        timeout_s=request.timeout_s,
        source=found.source,
    )


def _http_service(request: PublishRequest) -> Service:
    return Service(
        id=request.service,
        kind="http",
        title_vi=request.title_vi,
        title_en=request.title_en or request.title_vi,
        sharing=request.sharing,
        fields=tuple(_named(entry, request) for entry in request.http_fields),
        dataset=request.dataset,
        personal=request.personal,
        subjects=request.subjects,
        legal_basis=request.legal_basis,
        synthetic=request.synthetic,
        timeout_s=request.timeout_s,
        endpoints=request.endpoints,
        openapi=request.openapi,
        source=HttpSource(url=request.source, timeout_s=request.timeout_s, guarded=request.guarded),
    )


def _named(entry: Field, request: PublishRequest) -> Field:
    named_person = {subject.select for subject in request.subjects}
    title_vi, title_en = request.field_titles.get(entry.name, (entry.title_vi, entry.title_en))
    return replace(
        entry,
        title_vi=title_vi or entry.name,
        title_en=title_en or title_vi or entry.name,
        personal=entry.name in request.personal_fields
        or entry.name in named_person
        or (request.personal and entry.personal),
    )


def _untyped(column: Column) -> str:
    return re.sub(r"\(\d+\)", "", column.type)


def _decimal_shape(precision: int, scale: int) -> tuple[int, int] | tuple[None, None]:
    # PostgreSQL allows scales below 0 and above the precision; those keep the wide default.
    return (precision, scale) if 0 <= scale <= precision else (None, None)
