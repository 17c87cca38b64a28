"""What a use may see of a table (``View``) and what it gets (``Page``, ``TableVersion``, ``Profile``): frozen values.

``View`` is all this package needs to know of an agreement's decision.  No I/O.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, cast, get_args

from lienthong.catalog.models import Field, Service, SubjectKind
from lienthong.directory.models import ServiceId, SystemId
from lienthong.errors import Problem
from lienthong.i18n import T

MaskKind = Literal["drop", "null", "partial", "year", "round"]
Operator = Literal["eq", "neq", "lt", "lteq", "gt", "gteq", "in"]
MASKS: tuple[MaskKind, ...] = get_args(MaskKind)
OPERATORS: tuple[Operator, ...] = get_args(Operator)

Condition = tuple[str, str, str | tuple[str, ...]]
"""(field, operator, value as text; several values for ``in``).  Conditions of one filter are ANDed."""

Cell = str | int | float | bool | None
"""A value in a JSON row: dates and timestamps in ISO 8601, decimals as text (no digit is lost), absent as null."""


class NotATable(Problem):
    """The service is not a table, so it can be called but neither taken nor queried."""

    kind = "not-a-table"
    status = 400
    side = "caller"
    title = T("This service is not a table")


class ViewNotApplicable(Problem):
    """The agreement filters or masks in a way this table can not honour: nothing is given rather than too much."""

    kind = "view-not-applicable"
    status = 403
    side = "provider"
    title = T("The agreement's terms can not be applied to this table")


@dataclass(frozen=True, slots=True)
class View:
    """What one grant lets its holder see of a table."""

    fields: tuple[str, ...] | None = None
    """Names of granted fields; None grants all."""
    masks: Mapping[str, str] = field(default_factory=dict[str, str])
    """Field name -> kind of mask."""
    row_filter: tuple[Condition, ...] = ()
    limit: int | None = None
    """Most rows of one answer; does not apply to files."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one call, masked; ``next_offset`` is None when there are no more."""

    rows: tuple[Mapping[str, Cell], ...]
    next_offset: int | None
    subjects: tuple[tuple[SubjectKind, str], ...]
    """Whom the rows are about, in clear and before any mask: for consent and commitments, never for the answer."""
    rows_without_subject: int = 0
    """Rows of a personal table that name nobody: an answer with any is withheld."""


@dataclass(frozen=True, slots=True)
class TableFile:
    """One Parquet file of a table version.  ``statistics`` is the JSON text a Delta Sharing client reads."""

    name: str
    size_bytes: int
    rows: int
    statistics: str


@dataclass(frozen=True, slots=True)
class TableVersion:
    """A table under one view, written to files once."""

    service: ServiceId
    view_digest: str
    version: int
    made_at: datetime
    fields: tuple[Field, ...]
    """The fields as they are in the files, after the masks."""
    files: tuple[TableFile, ...]
    source_mark: str
    """What the source looked like when the files were made; another mark means the table has changed."""

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class Profile:
    """A Delta Sharing profile as this node remembers it: bound to one agreement, system and purpose."""

    id: str
    agreement: str
    system: SystemId
    purpose: str | None
    expires: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """One profile's use of one table version: the unit of record.  ``bytes_taken`` counts file bytes sent."""

    id: str
    profile: Profile
    service: ServiceId
    view_digest: str
    version: int
    opened_at: datetime
    expires: datetime
    rows: int
    """Rows in the files of the version."""
    note: str
    """What the access gate gave with its admission and wants back when the reading is closed."""
    bytes_taken: int = 0
    requests: int = 0


def shown_fields(service: Service, view: View) -> tuple[Field, ...]:
    """The fields an answer has under ``view``, in published order, with the types they have after their masks.

    Raises ViewNotApplicable for an unknown kind of mask.
    """
    shown: list[Field] = []
    for published in service.fields:
        if view.fields is not None and published.name not in view.fields:
            continue
        mask = mask_of(view, published.name)
        if mask == "drop":
            continue
        shown.append(published if mask is None else masked_field(published, mask))
    return tuple(shown)


def mask_of(view: View, name: str) -> MaskKind | None:
    """The mask on field ``name``; an unknown kind is refused, never skipped."""
    mask = view.masks.get(name)
    if mask is not None and mask not in MASKS:
        raise ViewNotApplicable(T("The agreement asks for the unknown mask {mask}."), mask=mask)
    return mask


def masked_field(published: Field, mask: MaskKind) -> Field:
    """``published`` as it is after ``mask``: a partly shown number is text, a rounded decimal is whole."""
    if mask == "partial" and published.type == "integer":
        return replace(published, type="string", nullable=True)
    if mask == "round" and published.type == "decimal":
        return replace(published, precision=38, scale=0, nullable=True)
    return replace(published, nullable=True)


def check_row_filter(service: Service, view: View) -> None:
    """Raises ViewNotApplicable when a condition names a field or an operator that this table does not have."""
    for name, operator, value in view.row_filter:
        several = not isinstance(value, str)
        if service.field(name) is None or operator not in OPERATORS or several != (operator == "in"):
            raise ViewNotApplicable(
                T("The agreement's row filter on {field} does not fit the table."),
                mend=T("The provider has to renew the agreement after the table has changed."),
                field=name,
            )


def check_prefilter(service: Service, view: View, prefilter: tuple[Condition, ...]) -> None:
    """Raises ViewNotApplicable unless every condition is on a field that ``view`` shows without a mask."""
    shown = {published.name for published in shown_fields(service, view)}
    for name, _, _ in prefilter:
        if name not in shown or mask_of(view, name) is not None:
            raise ViewNotApplicable(T("A condition on {field} can not be met before its mask."), field=name)


def subject_columns(service: Service) -> tuple[tuple[SubjectKind, str], ...]:
    """Kind and column of those whom the rows of a table are about."""
    return tuple((subject.kind, subject.select) for subject in service.subjects if subject.where == "response")


def view_digest(view: View) -> str:
    """SHA-256 (hex) over what ``view`` does to files; equal views share files, the limit plays no part."""
    canonical = {
        "fields": None if view.fields is None else sorted(view.fields),
        "masks": dict(sorted(view.masks.items())),
        "row_filter": sorted([name, operator, value] for name, operator, value in view.row_filter),
    }
    return hashlib.sha256(json.dumps(canonical, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def view_json(view: View) -> dict[str, object]:
    """``view`` as JSON values, for the way into the sandbox."""
    return {
        "fields": None if view.fields is None else list(view.fields),
        "masks": dict(view.masks),
        "row_filter": conditions_json(view.row_filter),
        "limit": view.limit,
    }


def view_from(described: Mapping[str, object]) -> View:
    """The View that ``view_json`` wrote."""
    fields = cast("list[str] | None", described["fields"])
    return View(
        fields=None if fields is None else tuple(fields),
        masks=cast("Mapping[str, str]", described["masks"]),
        row_filter=conditions_from(described["row_filter"]),
        limit=cast("int | None", described["limit"]),
    )


def conditions_json(conditions: tuple[Condition, ...]) -> list[list[object]]:
    """Conditions as JSON values."""
    return [[name, op, value if isinstance(value, str) else list(value)] for name, op, value in conditions]


def conditions_from(described: object) -> tuple[Condition, ...]:
    """The conditions that ``conditions_json`` wrote."""
    listed = cast("list[tuple[str, str, str | list[str]]]", described)
    return tuple((name, op, value if isinstance(value, str) else tuple(value)) for name, op, value in listed)
