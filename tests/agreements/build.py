"""Builders for the tests of agreements: sensible values, each replaceable by name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lienthong.agreements.document import write_agreement
from lienthong.agreements.models import Agreement, Permission, Terms
from lienthong.agreements.policy import Compiled, Request, compile_agreement
from lienthong.agreements.reading import parse_agreement
from lienthong.directory.models import MemberId, SystemId

POLICE = MemberId("VN/GOV/G01")
PROVINCE = MemberId("VN/GOV/H24")
COUNTER = SystemId("VN/GOV/H24/motcua")
LAND_OFFICE = SystemId("VN/GOV/H24/datdai")
CITIZEN = "VN/GOV/G01/dancu/citizen"
CITIZEN_DATASET = "VN/GOV/G01/dancu/ds/citizen"
START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2027, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 7, 1, 5, tzinfo=UTC)
AGREEMENT_ID = "urn:uuid:00000000-0000-4000-8000-000000000001"


def a_permission(**changes: Any) -> Permission:
    return Permission(**{"purposes": ("HP-01",), "ground": "law:278/2025", "starts": START, "ends": END, **changes})


def some_terms(**changes: Any) -> Terms:
    """Terms on the citizen service; keywords of Permission go into its one permission."""
    named = {name: changes.pop(name) for name in list(changes) if name in Terms.__slots__}
    permissions = {} if "permissions" in named else {"permissions": (a_permission(**changes),)}
    return Terms(
        **{
            "provider": POLICE,
            "consumer": PROVINCE,
            "target": CITIZEN,
            "mode": "request",
            "legal_basis": "Nghị định 278/2025/NĐ-CP",
            **permissions,
            **named,
        }
    )


def an_agreement(agreement_id: str = AGREEMENT_ID, **changes: Any) -> Agreement:
    return parse_agreement(write_agreement(some_terms(**changes), agreement_id=agreement_id, timestamp=START))


def compiled(agreement_id: str = AGREEMENT_ID, ended_at: datetime | None = None, **changes: Any) -> Compiled:
    return compile_agreement(an_agreement(agreement_id, **changes), ended_at)


def a_request(**changes: Any) -> Request:
    return Request(**{"consumer": COUNTER, "target": CITIZEN, "way": "call", "purpose": "HP-01", "at": NOON, **changes})
