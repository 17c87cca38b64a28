"""What of a use may be shown to anybody: the signed messages of its receipt, or the record alone; and whose words.

A message's base holds an unsalted digest of the body, and X-Road fields of the caller's own: where a body may name a
person by a number of twelve digits, whoever has the digest can try them all.  Refused wherever that is not excluded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from lienthong.access.models import Use
from lienthong.directory.document import Snapshot
from lienthong.directory.models import system_of

PREFIX = b"/x1/"
_OF_THE_CALLER = ("x-road-userid", "x-road-issue", "x-road-represented-party")
"""Signed fields in which X-Road clients name an officer, a case, a person."""
_MADE_UP_ID = re.compile(r"(?:[A-Z]{2}-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_plain_target(target: bytes, service: str) -> bool:
    """Whether the target holds nothing of the caller's own: path and query may carry personal data."""
    return target in (PREFIX + service.encode(), PREFIX + b"query", PREFIX + b"events")


def may_be_public(
    target: bytes, service: str, fields: Mapping[str, str], *, personal: bool | None, empty: bool = False
) -> bool:
    """Whether the messages of a use of ``service`` may stand in a public receipt.

    ``fields``: those of the message by lower-case name.  ``personal``: whether the service's description says that it
    concerns persons, None where no description is known.  ``empty``: the request had no body.
    """
    return (
        is_plain_target(target, service)
        and not any(name in fields for name in _OF_THE_CALLER)
        and _MADE_UP_ID.fullmatch(fields.get("x-road-id", _NO_ID)) is not None
        and (personal is False or (personal is None and empty))
    )


_NO_ID = "00000000-0000-0000-0000-000000000000"


def without_unknown_words(use: Use, snapshot: Snapshot) -> Use:
    """``use`` as a record may name it when no agreement stands behind its words: only what the directory knows.

    A caller may have typed a personal number where a service or a purpose belongs, and a leaf stays for ever; the
    salted commitment to the address still tells the owner what was asked.
    """
    provider = use.provider if snapshot.member(use.provider) else "-/-/-"
    system = system_of(use.resource)
    known = system if snapshot.system(system) else f"{provider}/-"
    return replace(use, provider=provider, resource=f"{known}/-")
