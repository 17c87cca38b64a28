"""The terms of an agreement as frozen values; making one checks it, so that no senseless agreement can be signed.

Times are aware and in whole seconds; every set is a tuple whose order means nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

from lienthong.directory.models import (
    CLASSES,
    MemberId,
    SystemId,
    class_of,
    member_of,
    read_member_id,
    read_purpose_code,
    read_system_id,
    read_target_id,
)
from lienthong.errors import Problem
from lienthong.i18n import T

Way = Literal["call", "table", "query", "event"]
MaskKind = Literal["drop", "null", "partial", "year", "round"]
RowOperator = Literal["eq", "neq", "lt", "lteq", "gt", "gteq", "in"]
Mode = Literal["rule", "request", "bought"]
ObligationKind = Literal["delete-after", "cite-source", "notify-breach"]
Forbidden = Literal["use", "distribute", "reidentify"]
Clause = Literal["delivery", "processing", "limits", "commitments", "security", "storage", "derived", "deletion"]

WAYS: Final[tuple[Way, ...]] = get_args(Way)
USUAL_WAYS: Final[tuple[Way, ...]] = ("call", "table", "query")
"""What a permission that names no way grants; events are granted by name only."""
MASKS: Final[tuple[MaskKind, ...]] = get_args(MaskKind)
ROW_OPERATORS: Final[tuple[RowOperator, ...]] = get_args(RowOperator)
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
CLAUSES: Final[tuple[Clause, ...]] = get_args(Clause)

RowCondition = tuple[str, RowOperator, str | tuple[str, ...]]
"""Field, operator, value as text (a tuple of texts for ``in``)."""
RowFilter = tuple[RowCondition, ...]
"""Conditions that must all hold for a row to be given; empty gives every row."""

_DURATION: Final = re.compile(r"P(?:[1-9][0-9]{0,4}D|[1-9][0-9]{0,3}[MY]|T[1-9][0-9]{0,5}H)\Z")
_GROUND: Final = re.compile(r"(?:law|emergency):\S.{0,199}\Z|(?:consent|contract|vital)\Z")
_CLASS: Final = re.compile(rf"[A-Z][A-Z0-9-]{{1,15}}/(?:{'|'.join(CLASSES)})\Z")
_TEXT_LIMIT: Final = 4000


class TermsRefused(Problem):
    """Terms that make no sense or that the profile does not allow; ``term`` names the part."""

    kind = "agreement-terms"
    status = 422
    side = "caller"
    title = T("The terms of the agreement can not stand")


def _check(holds: object, message: str, term: str) -> None:
    if not holds:
        raise TermsRefused(message, term=term)


def _check_texts(values: Iterable[str], term: str) -> None:
    texts = list(values)
    _check(len(texts) == len(set(texts)), T("{term} names a value twice."), term)
    _check(all(0 < len(text) <= _TEXT_LIMIT for text in texts), T("{term} holds an empty or overlong text."), term)


def _check_window(starts: datetime | None, ends: datetime | None) -> None:
    for moment in (starts, ends):
        if moment is not None:
            whole = moment.utcoffset() == timedelta(0) and moment.microsecond == 0 and moment.year >= 1000
            _check(whole, T("A time in {term} is not a whole second of UTC."), "dateTime")
    if starts is not None and ends is not None:
        _check(starts < ends, T("{term} ends before it starts."), "dateTime")


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing the consumer may do: all of its conditions must hold at once."""

    purposes: tuple[str, ...]
    """Codes of registered purposes, at least one."""
    ground: str
    """``law:<article>``, ``consent``, ``contract``, ``vital`` or ``emergency:<case>``."""
    starts: datetime
    ends: datetime | None = None
    """First moment no longer covered; None while open (only an agreement by rule may be open)."""
    ways: tuple[Way, ...] = USUAL_WAYS
    systems: tuple[SystemId, ...] = ()
    """The only systems of the consumer that may use it; empty means all of them."""
    fields: tuple[str, ...] | None = None
    """The only fields given; None means all of them."""
    masks: tuple[tuple[str, MaskKind], ...] = ()
    row_filter: RowFilter = ()
    quota: int | None = None
    """Uses a day, all systems together."""
    min_group: int | None = None
    """Fewest records an aggregated row may stand for; single rows are then not given by query."""

    def __post_init__(self) -> None:
        _check(self.purposes, T("{term} is missing: every use names a registered purpose."), "purpose")
        _check_texts(self.purposes, "purpose")
        for code in self.purposes:
            read_purpose_code(code)
        _check(_GROUND.match(self.ground), T("{term} is none of the known legal grounds."), "ground")
        _check_window(self.starts, self.ends)
        _check(self.ways and set(self.ways) <= set(WAYS), T("{term} allows only call, table, query and event."), "ways")
        _check_texts(self.ways, "ways")
        _check_texts(self.systems, "system")
        for system in self.systems:
            read_system_id(system)
        self._check_fields()
        _check(self.quota is None or self.quota > 0, T("{term} must be at least one."), "quota")
        _check(self.min_group is None or self.min_group > 1, T("{term} must be at least two."), "minGroup")

    def _check_fields(self) -> None:
        if self.fields is not None:
            _check(self.fields, T("{term} is empty: leave it out to give every field."), "fields")
            _check_texts(self.fields, "fields")
        masked = [field for field, _ in self.masks]
        _check_texts(masked, "mask")
        _check(all(kind in MASKS for _, kind in self.masks), T("{term} names a way of masking nobody knows."), "mask")
        _check(self.fields is None or set(masked) <= set(self.fields), T("{term} names a field not given."), "mask")
        for field, operator, value in self.row_filter:
            _check(operator in ROW_OPERATORS, T("{term} names a comparison nobody knows."), "rowFilter")
            _check(isinstance(value, tuple) == (operator == "in"), T("{term} needs one text, or a list of texts for "
                                                                     "in."), "rowFilter")  # fmt: skip
            _check(value or operator != "in", T("{term} has an empty list."), "rowFilter")
            _check_texts([field], "rowFilter")
            if isinstance(value, tuple):
                _check_texts(value, "rowFilter")


@dataclass(frozen=True, slots=True)
class Prohibition:
    """What is forbidden whatever the permissions say.  ``use`` is enforced; the others bind later conduct.

    Empty tuples and None do not narrow: a prohibition of use without conditions always applies.
    """

    action: Forbidden
    purposes: tuple[str, ...] = ()
    ways: tuple[Way, ...] = ()
    systems: tuple[SystemId, ...] = ()
    starts: datetime | None = None
    ends: datetime | None = None

    def __post_init__(self) -> None:
        _check(self.action in get_args(Forbidden), T("{term} forbids something nobody knows."), "prohibition")
        narrowed = self.purposes or self.ways or self.systems or self.starts or self.ends
        _check(self.action == "use" or not narrowed, T("{term}: only a prohibition of use can be narrowed."), "action")
        _check_texts(self.purposes, "purpose")
        _check_texts(self.ways, "ways")
        _check(set(self.ways) <= set(WAYS), T("{term} allows only call, table, query and event."), "ways")
        _check_texts(self.systems, "system")
        for code in self.purposes:
            read_purpose_code(code)
        for system in self.systems:
            read_system_id(system)
        _check_window(self.starts, self.ends)


@dataclass(frozen=True, slots=True)
class Obligation:
    """What the consumer must do.  ``period`` is an ISO 8601 duration (``P30D``, ``PT72H``); none for cite-source."""

    kind: ObligationKind
    period: str | None = None

    def __post_init__(self) -> None:
        _check(self.kind in get_args(ObligationKind), T("{term} is an obligation nobody knows."), "obligation")
        timed = self.kind != "cite-source"
        _check((self.period is not None) == timed, T("{term} needs a period exactly when it is timed."), "obligation")
        _check(self.period is None or _DURATION.match(self.period), T("{term} has no readable period."), "obligation")

    def __str__(self) -> str:
        return self.kind if self.period is None else f"{self.kind}:{self.period}"


STANDARD_CLAUSES: Final[tuple[tuple[Clause, str], ...]] = (
    ("delivery", "Qua nút kết nối của hai bên; mỗi lần sử dụng đều có biên nhận."),
    ("processing", "Chỉ xử lý trong phạm vi mục đích đã đăng ký."),
    ("limits", "Theo các điều kiện về trường, dòng, hạn mức và cách sử dụng ghi trong thỏa thuận này."),
    ("commitments", "Bên sử dụng không dùng ngoài mục đích, không chuyển cho bên thứ ba khi chưa được đồng ý."),
    (
        "security",
        "Xác thực hai chiều, mã hóa đường truyền, ký số từng thông điệp; lưu trữ theo cấp độ an toàn đã duyệt.",
    ),
    ("storage", "Bên sử dụng chỉ lưu trong thời gian cần thiết cho mục đích đã đăng ký."),
    ("derived", "Dữ liệu phái sinh chịu cùng mục đích và cùng hạn chế như dữ liệu nhận được."),
    ("deletion", "Xóa không thể khôi phục khi hết mục đích hoặc khi thỏa thuận chấm dứt."),
)
"""Wording for every matter a sharing agreement must settle (NĐ 47/2020 Article 38, R-40), unless it says its own."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What provider and consumer agree on about one target; what is signed adds an id, a version and a time."""

    provider: MemberId
    consumer: str
    """A member id, or a class such as ``VN/GOV`` in an agreement by rule: every member of that class."""
    target: str
    """A service or dataset of the provider."""
    mode: Mode
    legal_basis: str
    permissions: tuple[Permission, ...]
    prohibitions: tuple[Prohibition, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    clauses: tuple[tuple[Clause, str], ...] = STANDARD_CLAUSES
    bundle: str | None = None
    """Joins agreements made together, one for each target."""
    succeeds: str | None = None
    """Digest of the agreement of a closed member that this one takes over for its successor."""

    def __post_init__(self) -> None:
        read_member_id(self.provider)
        read_target_id(self.target)
        _check(self.mode in MODES, T("{term} is none of rule, request and bought."), "mode")
        by_class = _CLASS.match(self.consumer) is not None
        if not by_class:
            read_member_id(self.consumer)
        _check(
            not by_class or self.mode == "rule", T("{term} may be a class only in an agreement by rule."), "assignee"
        )
        _check(member_of(self.target) == self.provider, T("{term} does not belong to the assigner."), "target")
        _check(self.permissions, T("{term} is missing: an agreement that permits nothing is none."), "permission")
        _check(self.legal_basis.strip(), T("{term} is missing."), "legalBasis")
        _check(self.bundle != "", T("{term} is empty."), "bundle")
        for permission in self.permissions:
            open_end = permission.ends is None and self.mode != "rule"
            _check(not open_end, T("{term} has no end: only an agreement by rule may stay open."), "dateTime")
        self._check_systems()
        _check_texts([str(obligation) for obligation in self.obligations], "obligation")
        _check_texts([clause for clause, _ in self.clauses], "clauses")
        missing = ", ".join(sorted(set(CLAUSES) - {clause for clause, text in self.clauses if text.strip()}))
        if missing:
            raise TermsRefused(T("{term} leaves open: {missing}."), term="clauses", missing=missing)

    def _check_systems(self) -> None:
        for rule in (*self.permissions, *self.prohibitions):
            for system in rule.systems:
                inside = self.consumer in (member_of(system), class_of(system))
                _check(inside, T("{term} is not a system of the assignee."), "system")


@dataclass(frozen=True, slots=True)
class Agreement:
    """A document that was read: its terms, what makes it this one, and the exact bytes with their SHA-256."""

    id: str
    """``urn:uuid:...``, the same for every version."""
    version: int
    timestamp: datetime
    predecessor: str | None
    """Digest of the version before (``sha-256:<hex>``); None in version 1."""
    terms: Terms
    document: bytes
    digest: str
    """``sha-256:<hex>`` of ``document``: how records name the agreement."""
