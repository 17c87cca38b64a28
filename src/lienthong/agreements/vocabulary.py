"""The names our ODRL profile uses, as full IRIs: what the published terms in ``docs/protocols/agreement.md`` define.

ODRL's and the Dataspace Protocol's own names are taken where they have one; the rest lie in a URN of ours, because a
document that is signed must not depend on whose web address answers.
"""

from __future__ import annotations

from typing import Final

from lienthong.agreements.models import MASKS, Clause, MaskKind, Way
from lienthong.agreements.models import WAYS as WAYS_NAMED

DSP_CONTEXT: Final = "https://w3id.org/dspace/2025/1/context.jsonld"
ODRL: Final = "http://www.w3.org/ns/odrl/2/"
PROFILE: Final = "urn:lienthong:odrl:1"
LT: Final = PROFILE + ":"

ID: Final = "urn:lienthong:id:"
"""Before the id of a member, class, system, service or dataset."""
PURPOSE_ID: Final = "urn:lienthong:purpose:"
"""Before the code of a registered purpose."""

USE: Final = ODRL + "use"
DISTRIBUTE: Final = ODRL + "distribute"
REIDENTIFY: Final = LT + "reidentify"

PURPOSE: Final = ODRL + "purpose"
DATE_TIME: Final = ODRL + "dateTime"
ELAPSED_TIME: Final = ODRL + "elapsedTime"
SYSTEM: Final = LT + "system"
GROUND: Final = LT + "ground"
WAYS: Final = LT + "ways"
FIELDS: Final = LT + "fields"
MASK: Final = LT + "mask"
ROW_FILTER: Final = LT + "rowFilter"
QUOTA: Final = LT + "quota"
MIN_GROUP: Final = LT + "minGroup"
FIELD: Final = LT + "field"
VALUE: Final = LT + "value"

DELETE: Final = ODRL + "delete"
ATTRIBUTE: Final = ODRL + "attribute"
NOTIFY_BREACH: Final = LT + "notifyBreach"

VERSION: Final = LT + "version"
PREDECESSOR: Final = LT + "predecessor"
BUNDLE: Final = LT + "bundle"
SUCCEEDS: Final = LT + "succeeds"
MODE: Final = LT + "mode"
LEGAL_BASIS: Final = LT + "legalBasis"
CLAUSES: Final = LT + "clauses"

WAY_IRI: Final[dict[Way, str]] = {way: LT + way for way in WAYS_NAMED}
WAY_OF: Final[dict[str, Way]] = {iri: way for way, iri in WAY_IRI.items()}

MASK_OF: Final[dict[str, MaskKind]] = {LT + kind: kind for kind in MASKS}

CLAUSE_IRI: Final[dict[Clause, str]] = {
    "delivery": LT + "delivery",
    "processing": LT + "processing",
    "limits": LT + "limits",
    "commitments": LT + "commitments",
    "security": LT + "security",
    "storage": LT + "storage",
    "derived": LT + "derived",
    "deletion": LT + "deletion",
}
CLAUSE_OF: Final[dict[str, Clause]] = {iri: clause for clause, iri in CLAUSE_IRI.items()}
