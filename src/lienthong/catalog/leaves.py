"""The fields of an HTTP service, read from one answer in JSON: every leaf becomes a path that agreements may name.

Promises: the paths are those of RFC 9535 that ``exchange.project`` understands (names and ``[*]``); what has no such
path is named among those left out, never guessed at; a leaf of two kinds is text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final, cast

from lienthong.catalog.models import Field, FieldType
from lienthong.catalog.publish import PERSONAL_NAMES

MOST_FIELDS: Final = 200
MOST_ELEMENTS: Final = 200
"""Elements of one list that are looked at."""
DEEPEST: Final = 12
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_NAME: Final = 63


def leaves_of(answer: object) -> tuple[tuple[Field, ...], tuple[str, ...]]:
    """The fields of ``answer`` (parsed JSON) in the order met, and the paths left out, at most 20 of them."""
    kinds: dict[str, set[FieldType | None]] = {}
    left_out: dict[str, None] = {}
    _walk(answer, "$", 0, kinds, left_out)
    fields: list[Field] = []
    for path, met in kinds.items():
        if len(fields) == MOST_FIELDS or len(path) > _LONGEST_NAME or path == "$":
            left_out[path] = None
            continue
        known = met - {None}
        kind: FieldType | None = next(iter(known)) if len(known) == 1 else "string"
        if known == {"integer", "double"}:
            kind = "double"
        fields.append(
            Field(path, kind or "string", personal=bool(PERSONAL_NAMES.search(path)), nullable=True)
        )  # fmt: skip
    return tuple(fields), tuple(left_out)[:20]


def _walk(
    value: object, path: str, depth: int, kinds: dict[str, set[FieldType | None]], left_out: dict[str, None]
) -> None:
    if depth > DEEPEST or len(kinds) > 2 * MOST_FIELDS:
        left_out[path] = None
    elif isinstance(value, dict):
        for name, inner in cast("Mapping[str, object]", value).items():
            step = f".{name}" if _PLAIN.fullmatch(name) else f"['{name}']"
            if not name or "'" in name or "\\" in name or not name.isprintable():
                left_out[f"{path}[…]"] = None
                continue
            _walk(inner, path + step, depth + 1, kinds, left_out)
    elif isinstance(value, list):
        for inner in cast("Sequence[object]", value)[:MOST_ELEMENTS]:
            _walk(inner, f"{path}[*]", depth + 1, kinds, left_out)
    else:
        kinds.setdefault(path, set()).add(_kind(value))


def _kind(value: object) -> FieldType | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "double"
    if not isinstance(value, str):
        return None
    for kind, read in (("date", date.fromisoformat), ("timestamp", datetime.fromisoformat)):
        if "-" in value[4:8]:
            try:
                read(value)
            except ValueError:
                continue
            return cast("FieldType", kind)
    return "string"
