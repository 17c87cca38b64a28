"""Words for purposes: the terms of the Data Privacy Vocabulary that a registered task is classified by.

The purposes themselves belong to members and stand in the directory; here is only the shared vocabulary.
Source: W3C DPV 2, purposes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lienthong.errors import Problem
from lienthong.i18n import Language, T, translate

DPV_PURPOSES: Final[Mapping[str, str]] = {
    "dpv:LegalCompliance": T("Complying with the law"),
    "dpv:FulfilmentOfObligation": T("Fulfilling an obligation"),
    "dpv:FulfilmentOfContractualObligation": T("Fulfilling a contract"),
    "dpv:IdentityVerification": T("Verifying identity"),
    "dpv:PublicBenefit": T("Public benefit"),
    "dpv:ImprovePublicServices": T("Public services"),
    "dpv:ImproveHealthcare": T("Health care"),
    "dpv:CombatClimateChange": T("Climate and environment"),
    "dpv:ProvideOfficialStatistics": T("Official statistics"),
    "dpv:PublicPolicyMaking": T("Making public policy"),
    "dpv:ProtectionOfPublicSecurity": T("Public security"),
    "dpv:ResearchAndDevelopment": T("Research and development"),
    "dpv:CommercialPurpose": T("Commerce"),
}
"""Term -> what it means, for people."""


class PurposeTermUnknown(Problem):
    """The term is none of the vocabulary's purposes."""

    kind = "purpose-term-unknown"
    status = 422
    side = "caller"
    title = T("The purpose term is not known")


def check_purpose_term(term: str) -> str:
    """``term`` if it is one of DPV_PURPOSES; PurposeTermUnknown otherwise."""
    if term not in DPV_PURPOSES:
        raise PurposeTermUnknown(
            T("{term} is not a purpose of the vocabulary."), known=tuple(DPV_PURPOSES), term=term[:100]
        )
    return term


def purpose_term_title(term: str, language: Language) -> str:
    """What ``term`` means; the term itself when it is not of the vocabulary."""
    words = DPV_PURPOSES.get(term)
    return translate(words, language) if words else term
