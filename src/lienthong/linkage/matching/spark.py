"""Blocking and comparing in the SQL of Spark: the same keys, limits and levels as ``pairs`` says them for DuckDB."""

from __future__ import annotations

import re
from typing import Final

from lienthong.linkage.matching import pairs

_ONE_SLIP: Final = re.compile(r"damerau_levenshtein\((?P<l>l\.\w+), (?P<o>o\.\w+)\) <= 1")
_SLIP_IN_SPARK: Final = (
    r"(levenshtein(\g<l>, \g<o>) <= 1 OR (length(\g<l>) = length(\g<o>) AND levenshtein(\g<l>, \g<o>) = 2"
    r" AND exists(sequence(1, length(\g<l>) - 1), i -> concat(substr(\g<l>, 1, i - 1), substr(\g<l>, i + 1, 1),"
    r" substr(\g<l>, i, 1), substr(\g<l>, i + 2)) = \g<o>)))"
)
"""Spark has no distance that counts two swapped letters as one slip."""
KEPT: Final = ("keyed", "block")
"""Steps that are read more than once."""


def steps(most: int, first: int) -> list[tuple[str, str]]:
    """Views to make, in order, from ``norm``: the last are ``large`` (reason, records) and ``seen`` (a, b, code).

    ``first``: records from this number on are new and compared with all; ``most``: as ``Matching.most_in_a_block``.
    """
    keys = " UNION ALL ".join(
        f"SELECT xxhash64({number}, {', '.join(parts)}) AS k, {number} AS reason, r FROM norm"
        f" WHERE {' AND '.join(f'{part} IS NOT NULL' for part in parts)}"
        for number, parts in enumerate(pairs.BLOCKS.values())
    )
    return [
        ("keyed", keys),
        ("coming", f"SELECT DISTINCT k FROM keyed WHERE r >= {first}"),
        (
            "block",
            "SELECT k, first(reason) AS reason, count(*) AS records FROM keyed LEFT SEMI JOIN coming USING (k)"
            " GROUP BY k HAVING count(*) >= 2",
        ),
        ("large", f"SELECT reason, records FROM block WHERE records > {most}"),
        ("small", f"SELECT k FROM block WHERE records <= {most}"),
        ("kept", "SELECT k, r FROM keyed LEFT SEMI JOIN small USING (k)"),
        (
            "pair",
            "SELECT DISTINCT l.r AS a, o.r AS b FROM kept l JOIN kept o ON l.k = o.k AND l.r < o.r"
            f" WHERE o.r >= {first}",
        ),
        (
            "named",
            "SELECT bag, CAST(count(*) AS INT) AS bearers FROM norm LEFT SEMI JOIN"
            f" (SELECT bag FROM norm WHERE r >= {first}) f USING (bag) GROUP BY bag",
        ),
        ("seen", _ONE_SLIP.sub(_SLIP_IN_SPARK, pairs.compared())),
    ]
