"""What notices say: Vietnamese first, in the words of the pages; ids, kinds, states and days alone.

A subject line names the case by its id: neither its title, which somebody wrote, nor a person stands in any notice.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lienthong.cases.kinds import STATES
from lienthong.cases.notices.models import CONFIRM, Told
from lienthong.i18n import Language, T, translate

CODE_CHARACTERS: Final = 10

NEWS: Final = MappingProxyType(
    {
        "opened": T("a new case"),
        "moved": T("its state changed"),
        "answered": T("somebody wrote"),
        "extended": T("its time was extended"),
        "paused": T("its clock stands still until something is added"),
        "resumed": T("its clock goes on"),
        "evidence": T("a file was added"),
        "due-soon": T("its time ends soon"),
        "overdue": T("its time is over"),
        "escalated": T("it is late and was reported upwards"),
    }
)
"""What happened, after the words "Case ...: "."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A notice in words."""

    subject: str
    text: str


def letter(told: Told, base: str, code: str = "") -> Letter:
    """The e-mail: in the person's language first, the other one under it; ``base``: address of the portal."""
    first: Language = told.wishes.language
    second: Language = "en" if first == "vi" else "vi"
    if told.notice.act == CONFIRM:
        subject = translate(T("Confirm this e-mail address"), first)
        return Letter(subject, "\n\n-- \n\n".join(_confirmation(code, base, each) for each in (first, second)))
    subject = translate(
        T("Case {case}: {news}"), first, case=told.notice.case, news=translate(NEWS[told.notice.act], first)
    )
    return Letter(subject, "\n\n-- \n\n".join(_news(told, base, each) for each in (first, second)))


def code_of(secret: bytes, person: str, mail: str) -> str:
    """The code that confirms an address for a person; made anew from the node's secret, so it is kept nowhere."""
    digest = hmac.digest(secret, f"confirm\x00{person}\x00{mail}".encode(), hashlib.sha256)
    return digest.hex()[:CODE_CHARACTERS]


def _news(told: Told, base: str, language: Language) -> str:
    notice, prefix = told.notice, "" if language == "vi" else "/en"
    kind = told.kind_vi if language == "vi" else told.kind_en
    lines = [
        translate(T("{kind}, case {case}: {news}."), language, kind=kind, case=notice.case,
                  news=translate(NEWS[notice.act], language)),
        translate(T("It is now: {state}."), language, state=translate(STATES[told.state], language)),
    ]  # fmt: skip
    if told.due:
        lines.append(
            translate(T("Last day in time: {day}."), language, day=told.due.strftime("%d/%m/%Y"))
        )  # fmt: skip
    lines += [
        translate(T("Read and answer it here: {address}"), language, address=f"{base}{prefix}/cases/{notice.case}"),
        "",
        translate(T("You chose to be told by e-mail. Change it here: {address}"), language,
                  address=f"{base}{prefix}/account/notices"),
    ]  # fmt: skip
    return "\n".join(lines)


def _confirmation(code: str, base: str, language: Language) -> str:
    prefix = "" if language == "vi" else "/en"
    return "\n".join(
        (
            translate(T("Type this code on the page of your notices: {code}"), language, code=code),
            f"{base}{prefix}/account/notices",
            "",
            translate(T("If you did not ask for it, do nothing: nothing more will come."), language),
        )
    )
