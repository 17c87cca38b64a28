"""One person, firm or parcel across the three national databases: an officer's page for a case in hand.

Promises: each step is a call over the exchange under an agreement of its own and links to its receipt; a step that is
refused says why and the others stand; what is typed is sent by POST, and stands in no address and no log of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Final, Literal, Protocol

from starlette.requests import Request
from starlette.responses import Response

from lienthong.i18n import Language, T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import require
from lienthong.law.units import Level, unit_on
from lienthong.linkage.identify import Identified, identify
from lienthong.portal.forms import Form, read_form
from lienthong.portal.shell import Pages, Section, Shell, both
from lienthong.portal.words import VIETNAM, day, number
from lienthong.web import page_language

TITLE: Final = T("One person, three registers")
ADDRESS: Final = "/work/national"
CASE_SHAPE: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z./_-]{2,63}")
"""What can stand in a message's header field as the reference of a case."""

Register = Literal["person", "firm", "parcel"]
Start = Literal["personal-number", "enterprise-code", "parcel"]
STARTS: Final[tuple[Start, ...]] = ("personal-number", "enterprise-code", "parcel")

REGISTERS: Final[Mapping[Register, str]] = MappingProxyType(
    {"person": T("Population"), "firm": T("Enterprises"), "parcel": T("Land")}
)
LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "personal_number": T("Personal number"),
        "full_name": T("Full name"),
        "birth_date": T("Birth date"),
        "gender": T("Gender"),
        "commune_code": T("Commune code"),
        "province_code": T("Province code"),
        "address": T("Address"),
        "phone": T("Telephone"),
        "enterprise_code": T("Enterprise code"),
        "name": T("Name"),
        "legal_form": T("Legal form"),
        "founded_on": T("Founded on"),
        "representative_number": T("Representative's personal number"),
        "charter_capital": T("Charter capital (đồng)"),
        "status": T("State"),
        "parcel_id": T("Parcel id"),
        "area_m2": T("Area (m²)"),
        "land_use": T("Land use"),
        "owner_kind": T("Kind of land user"),
        "owner_code": T("Land user's code"),
        "issued_on": T("Certificate issued on"),
    }
)
"""Known fields of the three registers; another one is shown under its own name."""
ASKED_BY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "personal_number": T("asked by personal number"),
        "representative_number": T("asked by the representative's number"),
        "owner_code": T("asked by the land user's code"),
        "enterprise_code": T("asked by enterprise code"),
        "parcel_id": T("asked by parcel id"),
    }
)
OF_FIRM: Final = T("of a firm found before")
OWNER_KINDS: Final[Mapping[str, str]] = MappingProxyType({"person": T("Person"), "enterprise": T("Enterprise")})
REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "no-agreement": T("No agreement in force covers this register. Ask its holder for one."),
        "agreement-ended": T("The agreement has ended. Ask the holder of the register for a new one."),
        "purpose-not-granted": T("The agreement does not allow this purpose."),
        "terms-refuse": T("The terms of the agreement do not allow this call."),
        "lookup-not-granted": T("The agreement does not allow asking by this code."),
        "quota-used-up": T("The agreement's quota is used up for now."),
        "peer-unreachable": T("The holder's node can not be reached. Try again later."),
        "peer-timeout": T("The holder's node did not answer in time. Try again later."),
        "source-unavailable": T("The holder's database is away. Try again later."),
    }
)
"""Kinds of refusal an officer can do something about; for others the words of the refusing node stand alone."""
_LEVELS: Final[Mapping[str, Level]] = MappingProxyType({"commune_code": "commune", "province_code": "province"})
_FLAG: Final = "synthetic"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a step brought nothing."""

    kind: str
    """Kind of the problem as the record has it; empty when there is no record."""
    message: str
    """As the node that refused says it, in English."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call over the exchange and what came of it."""

    register: Register
    service: str
    by: str
    """The field that was asked by: a key of ASKED_BY.  Never its value."""
    rows: tuple[Mapping[str, object], ...]
    record: str
    """Hash of the call's record on this node, hexadecimal; empty when nothing was recorded."""
    refusal: Refusal | None = None
    of_firm: bool = False
    """Whether the land asked for is that of a firm found on the way."""


@dataclass(frozen=True, slots=True)
class Found:
    """Everything one look-up brought."""

    steps: tuple[Step, ...]
    left: int = 0
    """Firms whose land was not asked for any more."""


class LookupDesk(Protocol):
    """What the node does for this page."""

    @property
    def member(self) -> str:
        """The member in whose name it calls."""
        ...

    async def look_up(self, start: Start, code: str, *, actor: Actor, case: str) -> Found:
        """Call the registers, one after the other where one answer leads to the next."""
        ...


def national_pages(desk: LookupDesk | None) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal; ``desk`` None: this node is not set up for it."""

    def join(shell: Shell) -> Pages:
        async def asked(request: Request) -> Response:
            actor = require(actor_of(request), Right.LOOK_UP, desk.member if desk else None)
            form, found, language = Form(), None, page_language(request)
            if request.method == "POST":
                form = await read_form(request, shell)
                start, code = _code_of(form, language)
                case = form.text("case", most=64, shape=CASE_SHAPE)
                if desk is None:
                    form.fault("", T("This node is not set up to ask the national databases."))
                elif form.good and start is not None:
                    found = await desk.look_up(start, code, actor=actor, case=case)
            return shell.page(
                request, "national.html", title=translate(TITLE, language), status=200 if form.good else 422,
                form=form, found=found, ready=desk is not None, registers=REGISTERS, asked_by=ASKED_BY,
                reasons=REASONS, of_firm=OF_FIRM, lines=_lines, flag=_FLAG,
            )  # fmt: skip

        return Pages(both(ADDRESS, asked, ("GET", "POST")), (Section(ADDRESS, TITLE, Right.LOOK_UP, "work"),))

    return join


def _code_of(form: Form, language: Language) -> tuple[Start | None, str]:
    """What to begin with; notes in ``form`` what is wrong.  An invalid code is never sent anywhere."""
    code = form.text("code", most=60).replace(" ", "")
    if not code:
        return None, ""
    today = datetime.now(UTC).astimezone(VIETNAM).date()
    readings = [each for each in identify(code, today=today) if each.kind in STARTS]
    for reading in readings:
        for start in STARTS:
            if reading.kind == start and reading.verdict != "invalid":
                return start, reading.parts.get("code", code) if start == "enterprise-code" else code
    _say_why(form, readings, language)
    return None, ""


def _say_why(form: Form, readings: Sequence[Identified], language: Language) -> None:
    reason = readings[0].reason(language) if readings else ""
    if reason:
        form.fault("code", T("This code does not hold: {reason}"), reason=reason)
    else:
        form.fault("code", T("Please give a personal number, an enterprise code or a parcel id."))


def _lines(row: Mapping[str, object], language: Language) -> list[tuple[str, str, bool]]:
    """The row's fields as label, value and whether the value is a code."""
    shown: list[tuple[str, str, bool]] = []
    for name, value in row.items():
        if name == _FLAG or value is None:
            continue
        label = translate(LABELS[name], language) if name in LABELS else name
        shown.append((label, _value(name, value, language), name.endswith(("_code", "_number", "_id"))))
    return shown


def _value(name: str, value: object, language: Language) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return number(value, language)
    text = str(value)
    if name in _LEVELS:
        unit = unit_on(text, _LEVELS[name], datetime.now(UTC).astimezone(VIETNAM).date())
        return f"{text} {unit.full_name}" if unit else text
    if name == "owner_kind" and text in OWNER_KINDS:
        return translate(OWNER_KINDS[text], language)
    if name.endswith("_m2") and language == "vi":
        return text.replace(".", ",")
    if name.endswith(("_on", "_date")):
        try:
            return day(date.fromisoformat(text), language)
        except ValueError:  # masked: a year alone
            return text
    return text
