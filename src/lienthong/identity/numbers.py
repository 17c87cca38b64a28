"""Personal numbers: kept as keyed hashes alone, by which a citizen is found in what was used about them.

Promises: without the node's key nobody reads a number back, or tries all that there are (NĐ 137/2015: about 10^10).
"""

from __future__ import annotations

import hmac
import re
from typing import Any, Final

import structlog

from lienthong.identity import queries

log = structlog.get_logger("lienthong.identity")
KIND: Final = "personal_number"
_NUMBER: Final = re.compile(r"[0-9]{12}")


def keyed(key: bytes, number: str) -> bytes:
    """HMAC-SHA-256 of a personal number under the node's key."""
    return hmac.digest(key, b"subject\x00" + f"{KIND}:{number}".encode(), "sha256")


async def note_number(db: Any, key: bytes, person: str, told: str) -> None:  # Any: passed on
    """Keep what an identity provider told of a person; what is no personal number is left out."""
    number = re.sub(r"\s", "", told)
    if not number:
        return
    if not _NUMBER.fullmatch(number):
        log.warning("identity.no-number", person=person)
        return
    await queries.put_number(db, person, keyed(key, number))
