"""The published terms are the terms in use: the page names every one of them, and its example is a real agreement."""

from __future__ import annotations

import json
import re
from pathlib import Path

from lienthong.agreements import ending, payloads
from lienthong.agreements import vocabulary as v
from lienthong.agreements.document import canonical
from lienthong.agreements.reading import parse_agreement

PAGE = Path(__file__).parents[2] / "docs" / "protocols" / "agreement.md"


def every_term() -> set[str]:
    own = {value for value in vars(v).values() if isinstance(value, str) and value.startswith((v.LT, v.ODRL))}
    maps = {iri for table in (v.WAY_IRI, v.CLAUSE_IRI) for iri in table.values()} | set(v.MASK_OF)
    notices = {ending.NOTICE_TYPE, ending.AGREEMENT, ending.AGREEMENT_DIGEST, ending.BY, ending.ENDS_AT, ending.REASON}
    messages = {payloads.SIGNATURE, payloads.NOTE, payloads.PROVISION}
    return (own | maps | notices | messages) - {v.LT, v.ODRL}


def test_every_term_in_use_is_published() -> None:
    page = PAGE.read_text()
    short = {term.replace(v.LT, "lt:").replace(v.ODRL, "odrl:") for term in every_term()}

    assert {
        term for term in short if f"`{term}`" not in page and f"{{{term}" not in page and f" {term}}}" not in page
    } == set()


def test_the_example_is_an_agreement() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)

    agreement = parse_agreement(canonical(json.loads(example)))

    assert agreement.terms.permissions[0].quota == 2000
