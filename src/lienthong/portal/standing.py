"""What roles, rights and the states of a proposal are called on pages."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from lienthong.i18n import T
from lienthong.identity.models import Right, Role

ROLES: Final = MappingProxyType(
    {
        Role.COORDINATOR: T("Coordinator"),
        Role.OPERATOR: T("Operator"),
        Role.DATA_OFFICER: T("Data officer"),
        Role.CASE_OFFICER: T("Case officer"),
        Role.INTEGRATOR: T("Integrator"),
        Role.AUDITOR: T("Auditor"),
        Role.CITIZEN: T("Citizen"),
    }
)
RIGHTS: Final = MappingProxyType(
    {
        Right.SEE_OWN: T("See who used my own data"),
        Right.OPEN_CASES: T("Open cases and follow them"),
        Right.HANDLE_CASES: T("Answer the agency's cases"),
        Right.LOOK_UP: T("Look persons up in national databases, and compare copies"),
        Right.PUBLISH: T("Publish and withdraw services"),
        Right.DECIDE_REQUESTS: T("Decide on requests for access"),
        Right.SEE_AGREEMENTS: T("See the agency's agreements"),
        Right.ASK_ACCESS: T("Ask for access"),
        Right.MANAGE_CREDENTIALS: T("Manage credentials of systems"),
        Right.SEE_CALLS: T("See calls and errors"),
        Right.SEE_SUBJECTS: T("See whom a use was about"),
        Right.SEE_HEALTH: T("See what is wrong with the node"),
        Right.MANAGE_NODE: T("Manage keys, connectors and quotas"),
        Right.SEE_COVERAGE: T("See connection coverage of all members"),
        Right.SEE_AUDIT: T("Read the audit"),
        Right.READ_LOG: T("Read whole receipts"),
    }
)
"""Rights that a token may carry; the others need a person in front of a screen."""
STATES: Final = MappingProxyType(
    {
        "open": T("Waits for a second person"),
        "approved": T("Approved"),
        "refused": T("Refused"),
        "withdrawn": T("Withdrawn"),
        "expired": T("Ran out of time"),
    }
)
