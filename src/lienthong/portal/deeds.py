"""Deeds: what a button does, said once, so that a page, ``POST /v1/<name>``, the API's description and a command agree.

A page module lists its verbs as ``Deed``s: who may, what goes in (a frozen dataclass of typed fields), what comes out,
what may be refused.  ``portal.doing`` is their door, ``portal.described`` writes them down as OpenAPI 3.1.  Promise:
what is read by ``read_wish`` is clean and whole, or one BadInput names every field that is not.
"""

from __future__ import annotations

import re
from collections import abc
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import date, datetime
from types import UnionType
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from lienthong.errors import Problem, Side
from lienthong.i18n import DEFAULT_LANGUAGE, Language, T, translate
from lienthong.identity.models import Actor, Right
from lienthong.identity.tokens import NOT_BY_TOKEN
from lienthong.law.text import visible

W = TypeVar("W")
Facts = Mapping[str, object]
SCREEN_ONLY: Final = NOT_BY_TOKEN | {Right.MANAGE_NODE, Right.MANAGE_CREDENTIALS}
"""Rights whose deeds take a person in front of a screen: no token reaches them, whatever its scopes."""
MOST_TEXT: Final = 200
MOST_LISTED: Final = 200
LARGEST: Final = 2**31 - 1
VERSION: Final = "version"
"""The field that says which version was read; also sent as ``If-Match`` (RFC 9110, section 13.1.1)."""
_NAME: Final = re.compile(r"[a-z]+(-[a-z]+)*(/[a-z]+(-[a-z]+)*)*")


class BadInput(Problem):
    """What was sent for a deed is not what it takes; ``fields`` says of each field what is wrong with it."""

    kind: ClassVar[str] = "bad-input"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The input is not as it must be")

    def __init__(self, wrong: Mapping[str, tuple[str, Mapping[str, object]]]) -> None:
        """``wrong``: name of a field ("" for the whole) to a message marked with ``T`` and its facts."""
        super().__init__(
            T("These fields are wrong: {names}."),
            mend=T("Read the description of this call in /openapi.json."),
            names=", ".join(sorted(wrong)) or "-",
        )
        self._wrong = wrong

    def as_dict(self, language: Language = DEFAULT_LANGUAGE) -> dict[str, object]:
        """The problem with ``fields``, each message in ``language``."""
        told = {name: translate(message, language, **facts) for name, (message, facts) in self._wrong.items()}
        return super().as_dict(language) | {"fields": told}


@dataclass(frozen=True, slots=True)
class Deed(Generic[W]):
    """One thing that can be done, whatever the door."""

    name: str
    """Its address under ``/v1/``: nouns first, the verb last, for example ``requests/approve``."""
    title: str
    """A message marked with ``T``: what it does, as a button would say it."""
    wants: type[W]
    """A frozen dataclass, keyword-only, whose fields are made with ``about``."""
    do: Callable[[Actor, W], Awaitable[Facts]]
    """Does it; raises Problems.  Whether it is the actor's own member is for the deed to look at."""
    right: Right | None = None
    """What the actor needs; None: it is enough to be signed in, or nothing when ``anybody``."""
    anybody: bool = False
    """Whether somebody who is not signed in may do it."""
    screen: bool = False
    """Whether it takes a person in front of a screen even though its right does not say so (one's own account)."""
    problems: tuple[type[Problem], ...] = ()
    """What it may raise beside what the door raises."""
    gives: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name of each fact that it answers with, and what it is."""
    elsewhere: bool = False
    """Whether another node is told, so that what went wrong there may be the answer."""
    place: Callable[[str], None] | None = None
    """Counts where the call comes from, and raises when too much does."""
    changed: type[Problem] | None = None
    """Raised when somebody changed the thing after it was read; answered with 412 to a sender of ``If-Match``."""
    forms: tuple[str, ...] = ()
    """Templates of the pages' routes whose forms do the same."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"no name of a deed: {self.name}")

    @property
    def by_screen_alone(self) -> bool:
        """Whether tokens are refused."""
        return self.screen or self.right in SCREEN_ONLY

    @property
    def versioned(self) -> bool:
        """Whether two people may edit the same thing, so that the version that was read must be told."""
        return any(each.name == VERSION for each in wishes_of(self.wants))


@dataclass(frozen=True, slots=True)
class Wished:
    """One field of what a deed wants."""

    name: str
    kind: type
    """``str``, ``int``, ``bool``, ``date``, ``datetime``, ``tuple`` (of texts) or ``dict`` (an object)."""
    says: str
    required: bool
    least: int
    most: int
    among: tuple[str, ...]
    lines: bool
    verbatim: bool
    nullable: bool


def about(
    says: str,
    *,
    default: Any = MISSING,  # Any: a field of any type
    least: int = 0,
    most: int = 0,
    among: tuple[str, ...] = (),
    lines: bool = False,
    verbatim: bool = False,
) -> Any:
    """A field of a deed's input: ``says`` what it is, for programmers.

    ``most``: characters of a text, elements of a list, or the largest number; ``least`` likewise.  ``lines``: a text
    of several lines.  ``verbatim``: a secret, taken as it is.  Without ``default`` it must be sent.
    """
    told = {"says": says, "least": least, "most": most, "among": among, "lines": lines, "verbatim": verbatim}
    return field(metadata=told) if default is MISSING else field(default=default, metadata=told)


def wishes_of(wants: type) -> tuple[Wished, ...]:
    """The fields of a deed's input."""
    hints = get_type_hints(wants)
    return tuple(_wished(each, hints[each.name]) for each in fields(wants))


def read_wish(wants: type[W], body: Mapping[str, object]) -> W:
    """``body`` as a value of ``wants``: texts without what nobody sees.  Raises BadInput for all that is wrong."""
    wished = {each.name: each for each in wishes_of(wants)}
    wrong: dict[str, tuple[str, Mapping[str, object]]] = {
        name[:60]: (T("This call has no such field."), {}) for name in body if name not in wished
    }
    read: dict[str, object] = {}
    for name, each in wished.items():
        if name not in body or (body[name] is None and (each.nullable or not each.required)):
            if each.required:
                wrong[name] = (T("Please fill this in."), {})
            continue
        try:
            read[name] = _read(each, body[name])
        except _Unfit as unfit:
            wrong[name] = (unfit.message, unfit.facts)
    if wrong:
        raise BadInput(wrong)
    return wants(**read)


def schema_of(wants: type) -> dict[str, object]:
    """The JSON Schema (2020-12, as OpenAPI 3.1 takes it) of a deed's input."""
    wished = wishes_of(wants)
    return {
        "type": "object",
        "properties": {each.name: _schema(each) for each in wished},
        "required": [each.name for each in wished if each.required],
        "additionalProperties": False,
    }


class _Unfit(Exception):
    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


def _wished(told: Field[Any], hint: object) -> Wished:  # Any: a field of any type
    parts = get_args(hint)
    nullable = get_origin(hint) in (Union, UnionType) and type(None) in parts
    if nullable:
        hint = next(part for part in parts if part is not type(None))
    origin = get_origin(hint)
    among = tuple(map(str, get_args(hint))) if origin is Literal else tuple(told.metadata["among"])
    kind = str if origin is Literal else dict if origin is abc.Mapping else origin or hint
    required = told.default is MISSING and told.default_factory is MISSING
    most = int(told.metadata["most"]) or (
        MOST_TEXT if kind is str else LARGEST if kind is int else MOST_LISTED
    )  # fmt: skip
    return Wished(
        told.name, cast("type", kind), str(told.metadata["says"]), required, int(told.metadata["least"]), most, among,
        bool(told.metadata["lines"]), bool(told.metadata["verbatim"]), nullable,
    )  # fmt: skip


def _read(each: Wished, value: object) -> object:
    if each.kind is bool or isinstance(value, bool):
        if each.kind is not bool or not isinstance(value, bool):
            raise _Unfit(T("This is not of the right type."))
        return value
    if each.kind is int:
        if not isinstance(value, int) or not each.least <= value <= each.most:
            raise _Unfit(
                T("Please give a whole number from {least} to {most}."), least=each.least, most=each.most
            )  # fmt: skip
        return value
    if each.kind is tuple:
        if not isinstance(value, list) or not each.least <= len(value_ := cast("list[object]", value)) <= each.most:
            raise _Unfit(T("Please give a list of {least} to {most} texts."), least=each.least, most=each.most)
        return tuple(_text(each, part, MOST_TEXT) for part in value_)
    if each.kind is dict:
        if not isinstance(value, dict):
            raise _Unfit(T("This is not of the right type."))
        return cast("dict[str, object]", value)
    text = _text(each, value, each.most)
    if each.kind in (date, datetime):
        return _moment(each.kind, text)
    if each.required and not text:
        raise _Unfit(T("Please fill this in."))
    return text


def _text(each: Wished, value: object, most: int) -> str:
    if not isinstance(value, str):
        raise _Unfit(T("This is not of the right type."))
    if each.verbatim:
        text = value
    elif each.lines:
        text = "\n".join(visible(line).rstrip() for line in value.splitlines()).strip()
    else:
        text = " ".join(visible(value).split())
    if len(text) > most:
        raise _Unfit(T("At most {most} characters."), most=most)
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise _Unfit(T("This is not written as it must be."))
    if each.among and text not in each.among:
        raise _Unfit(T("Please choose one of: {among}."), among=", ".join(each.among))
    return text


def _moment(kind: type, text: str) -> date | datetime:
    try:
        if kind is date:
            return date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _Unfit(T("Please give a day as 2026-12-31, a moment as 2026-12-31T08:00:00+07:00.")) from None
    if moment.tzinfo is None:
        raise _Unfit(T("Please give a day as 2026-12-31, a moment as 2026-12-31T08:00:00+07:00."))
    return moment


def _schema(each: Wished) -> dict[str, object]:
    told: dict[str, object] = {"description": each.says}
    if each.kind is bool:
        told["type"] = "boolean"
    elif each.kind is int:
        told |= {"type": "integer", "minimum": each.least, "maximum": each.most}
    elif each.kind is tuple:
        items: dict[str, object] = {"type": "string", "maxLength": MOST_TEXT}
        told |= {"type": "array", "minItems": each.least, "maxItems": each.most}
        told["items"] = items | ({"enum": list(each.among)} if each.among else {})
    elif each.kind is dict:
        told["type"] = "object"
    elif each.kind in (date, datetime):
        told |= {"type": "string", "format": "date" if each.kind is date else "date-time"}
    else:
        told |= {"type": "string", "maxLength": each.most} | ({"minLength": 1} if each.required else {})
        told |= {"enum": list(each.among)} if each.among else {}
    if each.nullable or not each.required:
        told["type"] = [told["type"], "null"]
        if "enum" in told:
            told["enum"] = [*cast("list[object]", told["enum"]), None]
    return told
