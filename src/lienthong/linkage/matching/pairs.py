"""Which records are compared, and what a comparison says: blocks, pairs, and one small number a pair.

A comparison is a *pattern*: one level a field (``FIELDS_COMPARED``), packed into an integer.  A million records have
millions of pairs but only a few thousand patterns, so the score is reckoned once a pattern, outside the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

BLOCKS: Final[Mapping[str, tuple[str, ...]]] = {
    "number": ("number",),
    "card": ("card",),
    "name and birth": ("bag", "y", "m", "d"),
    "name and place": ("bag", "unit"),
    "name and telephone": ("bag", "phone"),
    "given name and birth": ("given", "y", "m", "d"),
    "birth and telephone": ("y", "m", "d", "phone"),
    "given name and telephone": ("given", "phone"),
    "birth and home": ("y", "m", "d", "unit"),
    "given name and home": ("given", "unit", "street"),
    "year and home": ("y", "unit", "street"),
    "name, year": ("bag", "y", "sex"),
    "birth swapped": ("family", "y", "least(m, d)", "greatest(m, d)", "sex"),
}
"""Reason to compare two records -> what they share.  All parts must be known."""

KEY_PARTS: Final[Mapping[str, str]] = {
    "number": "VARCHAR", "card": "VARCHAR", "bag": "VARCHAR", "given": "VARCHAR", "family": "VARCHAR",
    "y": "SMALLINT", "m": "TINYINT", "d": "TINYINT", "phone": "VARCHAR", "unit": "VARCHAR", "street": "VARCHAR",
    "sex": "INTEGER", "marked": "VARCHAR[]",
}  # fmt: skip
"""What keys are made of and its type in ``norm``: the hash of a number depends on its type."""

FIELDS_COMPARED: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("unknown", "other", "family only", "given only", "given and family", "nearly", "common", "usual", "rare"),
    "birth": ("unknown", "other", "year", "year alone", "nearly", "same"),
    "number": ("unknown", "other", "nearly", "same"),
    "phone": ("unknown", "other", "same"),
    "place": ("unknown", "other", "commune", "home"),
    "sex": ("unknown", "other", "same"),
    "accents": ("unknown", "other", "same"),
}
"""Field -> its levels, the index being the level's number.  ``name``: the last three are equal."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """Levels in the order of FIELDS_COMPARED."""

    levels: tuple[int, ...]

    @property
    def words(self) -> Mapping[str, str]:
        """Field -> its level's word."""
        return {name: words[level] for (name, words), level in zip(FIELDS_COMPARED.items(), self.levels, strict=True)}


def unpack(code: int) -> Pattern:
    """The pattern packed in ``code``."""
    levels: list[int] = []
    for words in FIELDS_COMPARED.values():
        code, level = divmod(code, len(words))
        levels.append(level)
    return Pattern(tuple(levels))


def frequencies() -> str:
    """SELECT of the table ``named``: how many records bear each name that a new record bears."""
    return (
        "SELECT bag, CAST(count(*) AS INTEGER) AS bearers FROM norm WHERE bag IN (SELECT bag FROM fresh) GROUP BY bag"
    )


def keys(table: str) -> str:
    """SELECT of block ``k`` (a hash), its reason and record ``r``: a row for each reason a record of ``table`` has."""
    each = [
        f"SELECT hash({number}, {', '.join(parts)}) AS k, CAST({number} AS TINYINT) AS reason, r FROM {table}"
        f" WHERE {' AND '.join(f'{part} IS NOT NULL' for part in parts)}"
        for number, parts in enumerate(BLOCKS.values())
    ]
    return " UNION ALL ".join(each)


def keys_of_one() -> str:
    """SELECT of the keys of one record, NULL where it has none, in the order of BLOCKS, and the key of its name.

    Parameters: ``KEY_PARTS`` in their order.
    """
    given = ", ".join(f"CAST(? AS {kind}) AS {name}" for name, kind in KEY_PARTS.items())
    each = [
        f"CASE WHEN {' AND '.join(f'{part} IS NOT NULL' for part in parts)} THEN hash({number}, {', '.join(parts)}) END"
        for number, parts in enumerate(BLOCKS.values())
    ]
    return f"SELECT {', '.join(each)}, hash(bag), hash(marked) FROM (SELECT {given})"


def blocks() -> str:
    """SELECT of the table ``block``: each key of a new record that others share, and how many records do."""
    return (
        "SELECT k, any_value(reason) AS reason, CAST(count(*) AS INTEGER) AS records FROM keyed"
        " SEMI JOIN coming USING (k) GROUP BY k HAVING count(*) >= 2"
    )


def too_large(most: int) -> str:
    """SELECT of reason, blocks and records that were left out because more than ``most`` records share the key."""
    return f"SELECT reason, count(*), sum(records) FROM block WHERE records > {most} GROUP BY reason ORDER BY reason"


def candidates(most: int, first: int) -> str:
    """SELECT of the table ``pair``: a record from ``first`` on and a lesser one that share a block, each once."""
    return (
        f"WITH small AS (SELECT k FROM block WHERE records <= {most}),"
        " kept AS (SELECT keyed.k, keyed.r FROM keyed SEMI JOIN small USING (k))"
        f" SELECT DISTINCT l.r AS a, o.r AS b FROM kept l JOIN kept o ON l.k = o.k AND l.r < o.r WHERE o.r >= {first}"
    )


def compared() -> str:
    """SELECT of the table ``seen``: a, b and the packed pattern of each pair."""
    levels = {
        "name": _NAME,
        "birth": _BIRTH,
        "number": _NUMBER,
        "phone": _equal("phone"),
        "place": (
            "CASE WHEN l.unit IS NULL OR o.unit IS NULL THEN 0 WHEN l.unit <> o.unit THEN 1"
            " WHEN l.street = o.street THEN 3 ELSE 2 END"
        ),
        "sex": _equal("sex"),
        "accents": _equal("accents"),
    }
    code, factor = "0", 1
    for name, words in FIELDS_COMPARED.items():
        code += f" + {factor} * ({levels[name]})"
        factor *= len(words)
    return (
        f"SELECT a, b, CAST({code} AS INTEGER) AS code FROM pair JOIN norm l ON l.r = a JOIN norm o ON o.r = b"
        " LEFT JOIN named ON named.bag = l.bag"
    )


def _equal(name: str) -> str:
    return f"CASE WHEN l.{name} IS NULL OR o.{name} IS NULL THEN 0 WHEN l.{name} = o.{name} THEN 2 ELSE 1 END"


_NAME: Final = (
    "CASE WHEN l.bag IS NULL OR o.bag IS NULL THEN 0"
    " WHEN l.bag = o.bag THEN CASE WHEN bearers <= 3 THEN 8 WHEN bearers <= 30 THEN 7 ELSE 6 END"
    " WHEN abs(length(l.bag) - length(o.bag)) <= 1 AND (damerau_levenshtein(l.name, o.name) <= 1"
    " OR damerau_levenshtein(l.bag, o.bag) <= 1) THEN 5"
    " WHEN l.given = o.given THEN CASE WHEN l.family = o.family THEN 4 ELSE 3 END"
    " WHEN l.family = o.family THEN 2 ELSE 1 END"
)
_BIRTH: Final = (
    "CASE WHEN l.y IS NULL OR o.y IS NULL THEN 0"
    " WHEN l.m IS NULL OR o.m IS NULL THEN CASE WHEN l.y = o.y THEN 3 ELSE 1 END"
    " WHEN l.y = o.y AND l.m = o.m AND l.d = o.d THEN 5"
    " WHEN l.y = o.y AND ((l.m = o.d AND l.d = o.m) OR l.m = o.m OR l.d = o.d) THEN 4"
    " WHEN l.m = o.m AND l.d = o.d AND abs(l.y - o.y) IN (1, 2, 9, 10) THEN 4"
    " WHEN l.y = o.y THEN 2 ELSE 1 END"
)
_NUMBER: Final = (
    "CASE WHEN l.number = o.number OR l.card = o.card THEN 3"
    " WHEN l.number IS NOT NULL AND o.number IS NOT NULL"
    " THEN CASE WHEN damerau_levenshtein(l.number, o.number) <= 1 THEN 2 ELSE 1 END"
    " WHEN l.card IS NOT NULL AND o.card IS NOT NULL"
    " THEN CASE WHEN damerau_levenshtein(l.card, o.card) <= 1 THEN 2 ELSE 1 END ELSE 0 END"
)
