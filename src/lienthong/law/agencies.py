"""Electronic agency codes (mã định danh điện tử): their shape, their life, and who bore them when.

What a code is allowed to be is here, with the bodies of the State that are known from published lists; the directory
stores the members of a data space and asks here.  Source: QĐ 20/2020/QĐ-TTg, amended by QĐ 09/2025/QĐ-TTg.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final, Literal, Protocol, TypeVar, cast

from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.law.reference import day_or_none, lines_by_code, rows

AgencyKind = Literal["ministry", "agency", "province"]
AgencyState = Literal["active", "closed"]

LONGEST_CODE: Final = 35
_CODE = re.compile(r"[A-Z][0-9]{2}(?:\.[0-9A-Z]+)*")
_PHONE = re.compile(r"\+?[0-9][0-9 .()-]{6,19}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")
_LEGACY = re.compile(r"[0-9]{3}\.[0-9]{2}\.[0-9]{2}\.[A-Z][0-9]{2}")


class AgencyCodeInvalid(Problem):
    """A text is not an agency code, or stands where that code can not stand."""

    kind = "agency-code-invalid"
    status = 422
    side = "caller"
    title = T("The agency code is not valid")


class AgencyUnknown(Problem):
    """No agency bears the code."""

    kind = "agency-unknown"
    status = 404
    side = "caller"
    title = T("The agency is not known")


class AgencyCodeTaken(Problem):
    """The code is borne by an agency, or was borne by one that is closed: it is never given again."""

    kind = "agency-code-taken"
    status = 409
    side = "caller"
    title = T("The agency code is taken")


class ContactInvalid(Problem):
    """An agency needs exactly one focal contact with name, position, phone and e-mail."""

    kind = "contact-invalid"
    status = 422
    side = "caller"
    title = T("The focal contact is not valid")


class FocalContact(Protocol):
    """A focal contact as the directory keeps it."""

    @property
    def name(self) -> str: ...
    @property
    def position(self) -> str: ...
    @property
    def phone(self) -> str: ...
    @property
    def email(self) -> str: ...


Contact = TypeVar("Contact", bound=FocalContact)


@dataclass(frozen=True, slots=True)
class Agency:
    """One reading of an agency code, from ``valid_from`` to ``valid_to``, both days included.

    ``statistics_code`` is the code of the province governed (another number than the agency code); ``verified`` says
    whether a published source was read that gives this body this code, and is shown wherever the code is.
    """

    code: str
    name_vi: str
    name_en: str
    kind: AgencyKind
    parent: str | None
    valid_from: date
    valid_to: date | None
    successor: str | None
    statistics_code: str | None
    verified: bool
    legal_basis: str

    def stood_on(self, day: date) -> bool:
        """Whether the agency bore the code under this name on ``day``."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Standing:
    """How an agency code stands on a day: its latest bearer, and for a closed one since when and who follows."""

    agency: Agency
    state: AgencyState
    closed_on: date | None
    successor: str | None


def check_agency_code(text: str) -> str:
    """``text`` if it may be an agency code (R-01): at most 35 of A-Z, 0-9 and ``.``, groups from the left.

    Raises AgencyCodeInvalid; a legacy code is refused too, because none is ever given to a new agency (R-02).
    """
    if len(text) > LONGEST_CODE or not _CODE.fullmatch(text):
        legacy = is_legacy_code(text)
        raise AgencyCodeInvalid(
            T("{code} is not an agency code."),
            mend=T("Use the current code of the agency.")
            if legacy
            else T("A code is one capital letter, two digits, then groups of digits and capitals, such as G01.02."),
            code=text[: LONGEST_CODE + 1],
        )
    return text


def is_legacy_code(text: str) -> bool:
    """Whether ``text`` has the form in use before 2022, read from the right: ``000.00.04.G14`` (R-02)."""
    return _LEGACY.fullmatch(text) is not None


def code_of(text: str) -> str:
    """The current-form code that ``text``, current or legacy, stands for (R-02).

    A legacy code is looked up in a table, never computed; one outside the table raises AgencyUnknown.
    """
    if not is_legacy_code(text):
        return check_agency_code(text)
    code = _legacy_codes().get(text)
    if code is None:
        raise AgencyUnknown(
            T("No agency is known under the old code {code}."), mend=T("Use the current code."), code=text
        )
    return code


def parent_code(code: str) -> str | None:
    """The code one group shorter, None for a level-1 code."""
    return check_agency_code(code).rpartition(".")[0] or None


def check_parent(code: str, known: Collection[str]) -> str | None:
    """The parent of ``code`` if it is among ``known`` codes (R-05); None for a level-1 code.

    Raises AgencyCodeInvalid for an orphan: a child's code is its parent's and one group more.
    """
    parent = parent_code(code)
    if parent is not None and parent not in known:
        raise AgencyCodeInvalid(
            T("{code} has no parent: no agency bears {parent}."),
            mend=T("Register the parent first."),
            code=code,
            parent=parent,
        )
    return parent


def check_free(code: str, borne: Collection[str] = ()) -> str:
    """``code`` if no agency bears or ever bore it (R-03), neither in the published lists nor among ``borne``.

    Raises AgencyCodeTaken; a closed code stays closed for good.
    """
    if check_agency_code(code) in borne or code in lines_by_code("agencies"):
        raise AgencyCodeTaken(T("The code {code} belongs to an agency; a closed code is not given again."), code=code)
    return code


def one_focal_contact(contacts: Iterable[Contact]) -> Contact:
    """The one active contact in ``contacts`` (R-06), complete; raises ContactInvalid for none, several or gaps."""
    found = list(contacts)
    if len(found) != 1:
        raise ContactInvalid(
            T("An agency has exactly one active focal contact, not {count}."), mend=T("Name one."), count=len(found)
        )
    contact = found[0]
    missing = [name for name in ("name", "position", "phone", "email") if not str(getattr(contact, name)).strip()]
    if missing:
        raise ContactInvalid(T("The focal contact lacks: {missing}."), missing=", ".join(missing))
    if not _PHONE.fullmatch(contact.phone) or not _EMAIL.fullmatch(contact.email):
        raise ContactInvalid(T("The focal contact's phone or e-mail is not written as one."))
    return contact


def agency_on(code: str, day: date) -> Agency | None:
    """The agency that bore ``code`` (current or legacy form) on ``day``, None if nobody did."""
    return next((agency for agency in _readings(code_of(code)) if agency.stood_on(day)), None)


def look_up(code: str, day: date) -> Standing:
    """How ``code`` (current or legacy form) stands on ``day`` (R-03): status, closing date and successor.

    The record of a closed agency stays readable.  Raises AgencyUnknown for a code nobody bore by then.
    """
    bearers = [agency for agency in _readings(code_of(code)) if agency.valid_from <= day]
    if not bearers:
        raise AgencyUnknown(T("No agency bore the code {code} on {day}."), code=code, day=day.isoformat())
    last = bearers[-1]
    if last.stood_on(day):
        return Standing(last, "active", None, None)
    return Standing(last, "closed", last.valid_to, last.successor)


def present_agency(code: str, day: date) -> Agency:
    """The agency that on ``day`` acts for ``code`` (R-04): its bearer, or the last of its successors.

    Raises AgencyUnknown when the code was closed without a successor.
    """
    standing = look_up(code, day)
    passed: set[str] = set()
    while standing.state == "closed":
        successor = standing.successor
        if successor is None or successor in passed:
            raise AgencyUnknown(T("The code {code} was closed without a successor."), code=code)
        passed.add(successor)
        standing = look_up(successor, day)
    return standing.agency


def province_agency(statistics_code: str, day: date) -> Agency:
    """The people's committee of the province bearing ``statistics_code`` on ``day`` (R-11).

    The two codes are separate families: Lào Cai is 15 and H38.  Raises AgencyUnknown.
    """
    for code in lines_by_code("agencies"):
        agency = agency_on(code, day)
        if agency is not None and agency.statistics_code == statistics_code:
            return agency
    raise AgencyUnknown(
        T("No people's committee governs a province {code} on {day}."), code=statistics_code, day=day.isoformat()
    )


def agencies_on(day: date) -> tuple[Agency, ...]:
    """All agencies of the published lists on ``day``, by code."""
    found = (agency_on(code, day) for code in sorted(lines_by_code("agencies")))
    return tuple(agency for agency in found if agency is not None)


def _readings(code: str) -> list[Agency]:
    """All readings of ``code``, oldest first."""
    found = [_agency(line) for line in lines_by_code("agencies").get(code, ())]
    return sorted(found, key=lambda agency: agency.valid_from)


def _agency(line: str) -> Agency:
    code, name_vi, name_en, kind, parent, first, last, successor, statistics, verified, basis = line.split("\t")
    return Agency(
        code=code,
        name_vi=name_vi,
        name_en=name_en,
        kind=cast("AgencyKind", kind),  # the table is ours and tested
        parent=parent or None,
        valid_from=date.fromisoformat(first),
        valid_to=day_or_none(last),
        successor=successor or None,
        statistics_code=statistics or None,
        verified=verified == "1",
        legal_basis=basis,
    )


@cache
def _legacy_codes() -> dict[str, str]:
    return {legacy: code for legacy, code, _ in rows("legacy_codes")}
