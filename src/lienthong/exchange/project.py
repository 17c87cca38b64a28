"""What an agreement lets through of a JSON answer: granted leaves only, masks applied, persons found by their paths.

Paths are the part of RFC 9535 that names leaves: ``$``, ``.name``, ``['name']`` and ``[*]``; anything else is refused
when the service is published and again here, so nothing passes by a path that was not understood.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, cast

import orjson

from lienthong.catalog.models import Field, Service
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.tables.mask import mask_value
from lienthong.tables.models import Cell, MaskKind, View, mask_of

Json = object
Step = str | None
"""A member's name, or None for every element of an array."""

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}(T|$)")
_STEP: Final = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\['([^'\\]+)'\]|\[\*\]")


class PathNotValid(Problem):
    """A field path outside the supported part of RFC 9535."""

    kind: ClassVar[str] = "path-not-valid"
    status: ClassVar[int] = 400
    side: ClassVar[Side] = "provider"
    title: ClassVar[str] = T("The path of a field can not be used")


class NotJson(Problem):
    """The agreement limits fields, but the back end's answer is not JSON: it is withheld."""

    kind: ClassVar[str] = "answer-not-json"
    status: ClassVar[int] = 502
    side: ClassVar[Side] = "provider"
    title: ClassVar[str] = T("The back end's answer can not be limited to the granted fields")


def steps_of(path: str) -> tuple[Step, ...]:
    """The steps of ``path``; raises PathNotValid."""
    steps: list[Step] = []
    at = 1
    while path.startswith("$") and at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            break
        steps.append(step.group(1) or step.group(2))
        at = step.end()
    if not path.startswith("$") or at != len(path):
        raise PathNotValid(
            T("{path} is not a path of the form $.name[*].name."),
            mend=T("Write each field of an HTTP service as a path with names and [*] only."),
            path=path[:200],
        )
    return tuple(steps)


def limited(service: Service, view: View, body: bytes) -> bytes:
    """The JSON ``body`` with only the fields and masks of ``view``; the same bytes when nothing is limited.

    Raises NotJson.
    """
    if view.fields is None and not view.masks:
        return body
    value = parsed(body)
    if view.fields is not None:
        value = _kept(value, [steps_of(name) for name in view.fields if mask_of(view, name) != "drop"])
    for name in view.masks:
        kind = mask_of(view, name)
        if kind is None:
            continue
        published = service.field(name)
        if published is None and kind != "drop":
            kind = "null"  # a field without a published type can not be shown in part
        value = _masked(value, steps_of(name), kind, published or Field(name, "string"))
    return orjson.dumps(value)


def parsed(body: bytes) -> Json:
    """``body`` as JSON; raises NotJson."""
    try:
        return cast("Json", orjson.loads(body))
    except orjson.JSONDecodeError:
        raise NotJson(
            T("The answer was withheld: the agreement grants some fields only, and the answer is not JSON."),
            mend=T("The provider publishes a service that answers in JSON, or grants the whole answer."),
        ) from None


def selected(value: Json, path: str) -> list[str]:
    """The scalars that ``path`` names in ``value``, as text."""
    found: list[Json] = [value]
    for step in steps_of(path):
        found = [inner for outer in found for inner in _into(outer, step)]
    return [str(scalar) for scalar in found if isinstance(scalar, (str, int)) and not isinstance(scalar, bool)]


def _into(value: Json, step: Step) -> Sequence[Json]:
    if step is None:
        return cast("list[Json]", value) if isinstance(value, list) else []
    if isinstance(value, dict):
        members = cast("Mapping[str, Json]", value)
        return [members[step]] if step in members else []
    return []


def _kept(value: Json, paths: Sequence[tuple[Step, ...]]) -> Json:
    """``value`` without anything that no path leads to."""
    if any(not path for path in paths):
        return value
    if isinstance(value, list):
        inner = [path[1:] for path in paths if path[0] is None]
        return [_kept(element, inner) for element in cast("list[Json]", value)] if inner else []
    if isinstance(value, dict):
        members = cast("Mapping[str, Json]", value)
        return {
            name: _kept(member, [path[1:] for path in paths if path[0] == name])
            for name, member in members.items()
            if any(path[0] == name for path in paths)
        }
    return None  # a scalar where the path goes on: not the leaf that was granted


def _masked(value: Json, path: tuple[Step, ...], kind: MaskKind, published: Field) -> Json:
    """``value`` with the mask at ``path``; what has another shape than the path or the type says is hidden whole."""
    if not path:
        return _masked_scalar(value, kind, published)
    step, rest = path[0], path[1:]
    if step is None and isinstance(value, list):
        return [_masked(element, rest, kind, published) for element in cast("list[Json]", value)]
    if step is not None and isinstance(value, dict):
        members = dict(cast("Mapping[str, Json]", value))
        if step in members:
            if kind == "drop" and not rest:
                del members[step]
            else:
                members[step] = _masked(members[step], rest, kind, published)
        return members
    return None


def _masked_scalar(value: Json, kind: MaskKind, published: Field) -> Json:
    if isinstance(value, (list, dict, bool)):
        return None
    if kind == "year" and not _DAY.match(str(value)):
        return None
    try:
        return mask_value(kind, published, cast("Cell", value))
    except (ValueError, OverflowError):  # the back end sent text where a number is published
        return None
