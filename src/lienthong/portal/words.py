"""Facts as people read them: times in Việt Nam's zone, grouped numbers, masks, filters and record keys in words.

Pure functions of a value and a language; what is not known is shown as it stands, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from lienthong.i18n import Language, T, translate
from lienthong.portal.models import FilterLine

VIETNAM: Final = timezone(timedelta(hours=7), "UTC+7")
"""Việt Nam's time zone; no daylight saving."""

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_PERIOD = re.compile(r"PT?([0-9]+)[HDMY]")
_PERIOD_WORDS: Final = {
    "PTH": T("{value} hours"),
    "PD": T("{value} days"),
    "PM": T("{value} months"),
    "PY": T("{value} years"),
}


def _table(words: dict[str, str]) -> Mapping[str, str]:
    return MappingProxyType(words)


WAYS = _table({"call": T("Call"), "table": T("Take the table"), "query": T("Query"), "event": T("Event")})
OUTCOMES = _table({"permitted": T("Permitted"), "refused": T("Refused"), "failed": T("Failed")})
HEALTHS = _table({"serving": T("Serving"), "starting": T("Starting"), "silent": T("No answer")})
STEPS = _table({"done": T("Done"), "running": T("Running"), "waiting": T("Waiting"), "failed": T("Failed")})
ROLES = _table({"consumer": T("Consumer"), "provider": T("Provider")})
SIDES = _table(
    {
        "caller": T("Whoever asked"),
        "consumer": T("The consumer's node"),
        "provider": T("The provider's side"),
        "node": T("The operator of this node"),
    }
)
STATES = _table(
    {
        "REQUESTED": T("Requested"),
        "AGREED": T("Agreed by the provider"),
        "VERIFIED": T("Verified by the consumer"),
        "FINALIZED": T("In force"),
        "TERMINATED": T("Ended"),
    }
)
MASKS = _table(
    {
        "drop": T("left out"),
        "null": T("always empty"),
        "partial": T("only the first three and last two characters"),
        "year": T("only the year"),
        "round": T("rounded"),
    }
)
OBLIGATIONS = _table(
    {
        "delete-after": T("delete the data after"),
        "cite-source": T("name the source"),
        "notify-breach": T("report a breach within"),
    }
)
FORBIDDEN = _table(
    {
        "use": T("certain uses (see the exact text)"),
        "distribute": T("passing the data on"),
        "reidentify": T("finding out whom anonymous data are about"),
    }
)
CLAUSES = _table(
    {
        "delivery": T("How it is delivered"),
        "processing": T("Processing"),
        "limits": T("Limits"),
        "commitments": T("Commitments"),
        "security": T("Security"),
        "storage": T("Storage"),
        "derived": T("Derived data"),
        "deletion": T("Deletion"),
    }
)
OPERATORS = _table(
    {
        "eq": T("is"),
        "neq": T("is not"),
        "gt": T("is more than"),
        "gteq": T("is at least"),
        "lt": T("is less than"),
        "lteq": T("is at most"),
        "in": T("is one of"),
    }
)
RECORD_KEYS = _table(
    {
        "v": T("Record format"),
        "side": T("Written by"),
        "exchange_id": T("Exchange id"),
        "at": T("Time (UTC)"),
        "node": T("Node"),
        "consumer": T("Consumer's system"),
        "provider": T("Provider"),
        "resource": T("What was used"),
        "way": T("Way"),
        "purpose": T("Purpose code"),
        "ground": T("Legal ground"),
        "agreement.id": T("Agreement id"),
        "agreement.version": T("Agreement version"),
        "agreement.digest": T("Agreement digest"),
        "decision_digest": T("Digest of the decision"),
        "outcome": T("Outcome"),
        "reason": T("Reason"),
        "target_commitment": T("Commitment to the address asked for"),
        "request_signature_digest": T("Digest of the request's signature"),
        "response_signature_digest": T("Digest of the answer's signature"),
        "body_digest": T("Digest of the answer"),
        "bytes": T("Bytes given out"),
        "rows": T("Rows given out"),
        "subjects": T("Commitments to the persons concerned"),
        "peer_record": T("The other side's record"),
    }
)


def word(table: Mapping[str, str], key: str, language: Language) -> str:
    """The entry of ``table`` for ``key`` in ``language``; the key itself when the table does not know it."""
    return translate(table[key], language) if key in table else key


def moment(at: datetime, language: Language) -> str:
    """A time to the second in Việt Nam's zone: ``14:05:09 22/11/2026`` or ``14:05:09, 22 Nov 2026``."""
    local = at.astimezone(VIETNAM)
    return f"{local:%H:%M:%S}{' ' if language == 'vi' else ', '}{day(local, language)}"


def day(at: date, language: Language) -> str:
    """A day: ``22/11/2026`` or ``22 Nov 2026``.  A datetime is taken in Việt Nam's zone."""
    if isinstance(at, datetime):
        at = at.astimezone(VIETNAM)
    if language == "vi":
        return f"{at.day:02d}/{at.month:02d}/{at.year}"
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def period(duration: str, language: Language) -> str:
    """An ISO 8601 duration of one unit in words: ``P30D`` is ``30 days``; anything else as it stands."""
    shape = _PERIOD.fullmatch(duration)
    unit = _PERIOD_WORDS.get(duration[:2].rstrip("0123456789") + duration[-1]) if shape else None
    return translate(unit, language, value=shape.group(1)) if shape and unit else duration


def number(value: int, language: Language) -> str:
    """A whole number with its thousands grouped: ``20.000`` in Vietnamese, ``20,000`` in English."""
    text = f"{value:,}"
    return text.replace(",", ".") if language == "vi" else text


def size(size_bytes: int, language: Language) -> str:
    """A size with at most one decimal: ``512 B``, ``2,1 KB``, ``3,4 MB`` (1 KB = 1,000 bytes)."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size_bytes >= factor:
            text = f"{size_bytes / factor:.1f}"
            return f"{text.replace('.', ',') if language == 'vi' else text} {unit}"
    return f"{size_bytes} B"


def short(digest: str) -> str:
    """The first twelve characters of a digest, enough to tell two apart by eye; an algorithm prefix is left out."""
    return digest.rsplit(":", 1)[-1][:12]


def condition(line: FilterLine, language: Language) -> str:
    """A row filter in words: ``province_code is 31``."""
    return f"{line.field} {word(OPERATORS, line.operator, language)} {', '.join(line.values)}"


def page_link(address: str | None, language: Language) -> str:
    """``address`` of a page of any node (given without language) in ``language``; empty when it is no safe link."""
    safe = safe_link(address)
    if not safe or language == "vi":
        return safe
    parts = urlsplit(safe)
    return urlunsplit(parts._replace(path="/en" + (parts.path or "/")))


def safe_link(address: str | None) -> str:
    """``address`` when it may stand in a link (relative on this host, http or https), otherwise an empty text.

    Addresses come from other members' entries in the directory: a ``javascript:`` one must never become a link.
    """
    if not address:
        return ""
    if address.startswith(("http://", "https://")):
        return address
    return address if address.startswith("/") and not address.startswith(("//", "/\\")) else ""
