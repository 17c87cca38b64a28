"""The statement that gives each record its keys: name folded, birth as numbers, number, telephone and place alike.

It says in SQL what ``linkage.names`` says for one name (a test compares them): a million records are folded by the
engine in seconds.  ``r`` is the number of a record in the order of its identifier, so that runs repeat.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lienthong.linkage.identify import MOBILE_OF_2018
from lienthong.linkage.matching.columns import FIELDS
from lienthong.linkage.names import COMMON_FAMILY_NAMES, FAMILY_NAMES, TITLES

OLD_TONES: Final = (
    ("oà", "òa"), ("oá", "óa"), ("oả", "ỏa"), ("oã", "õa"), ("oạ", "ọa"), ("oè", "òe"), ("oé", "óe"), ("oẻ", "ỏe"),
    ("oẽ", "õe"), ("oẹ", "ọe"), ("uỳ", "ùy"), ("uý", "úy"), ("uỷ", "ủy"), ("uỹ", "ũy"), ("uỵ", "ụy"),
)  # fmt: skip
"""The tone where it stood before -> where it stands, in small letters."""


def identifier(name: str) -> str:
    """``name`` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def normalised(columns: Mapping[str, str], source: str, first: int = 0) -> str:
    """SELECT of rows of ``norm`` from the table ``source``, numbered from ``first``; ``columns``: field -> column."""
    picked = ", ".join(
        f"{known(columns[name])} AS {name}" if name in columns else f"CAST(NULL AS VARCHAR) AS {name}"
        for name in FIELDS
    )
    return f"""
WITH raw AS MATERIALIZED (
  SELECT {picked} FROM {source}),
cleaned AS MATERIALIZED (
  SELECT record, source, person, unit, {_folded("street")} AS street, {_folded("gender")} AS sex, birth,
    {_placed("lower(nfc_normalize(name))")} AS written, regexp_replace(number, '[^0-9]', '', 'g') AS digits,
    regexp_replace(regexp_replace(phone, '[^0-9]', '', 'g'), '^(0084|84)', '0') AS called
  FROM raw),
folded AS MATERIALIZED (
  SELECT *, trim(regexp_replace(replace(strip_accents(written), 'đ', 'd'), '[^a-z0-9'']+', ' ', 'g')) AS folded,
    strip_accents(written) <> written AS accented
  FROM cleaned),
titled AS MATERIALIZED (
  SELECT *, {_without_titles("folded")} AS bare FROM folded),
worded AS MATERIALIZED (
  SELECT *, string_split({_one_spelling("bare")}, ' ') AS words,
    contains(bare, ' ') AND split_part(bare, ' ', 1) NOT IN {_listed(FAMILY_NAMES)}
      AND split_part(bare, ' ', -1) IN {_listed(FAMILY_NAMES)} AS turned,
    regexp_extract(birth, '^([0-9]{{4}})-([0-9]{{1,2}})-([0-9]{{1,2}})(?:[ T].*)?$', ['y', 'm', 'd']) AS iso,
    CASE WHEN birth NOT LIKE '____-%'
      THEN regexp_extract(birth, '^(?:([0-9]{{1,2}})[/.-]([0-9]{{1,2}})[/.-])?([0-9]{{4}})$', ['d', 'm', 'y'])
      END AS usual,
    CASE WHEN length(digits) = 12 THEN digits END AS number, CASE WHEN length(digits) = 9 THEN digits END AS card
  FROM titled),
dated AS MATERIALIZED (
  SELECT *, TRY_CAST(coalesce(nullif(iso.y, ''), nullif(usual.y, '')) AS SMALLINT) AS y,
    TRY_CAST(coalesce(nullif(iso.m, ''), nullif(usual.m, '')) AS TINYINT) AS m,
    TRY_CAST(coalesce(nullif(iso.d, ''), nullif(usual.d, '')) AS TINYINT) AS d
  FROM worded)
SELECT CAST(row_number() OVER (ORDER BY record, source, written, birth, digits) - 1 + {first} AS INTEGER) AS r,
  record, source, person, nullif(array_to_string(words, ' '), '') AS name,
  nullif(array_to_string(list_sort(words), ' '), '') AS bag,
  nullif(CASE WHEN turned THEN words[-2] ELSE words[-1] END, '') AS given,
  CASE WHEN len(words) > 1 THEN CASE WHEN turned THEN words[-1] ELSE words[1] END END AS family,
  CASE WHEN accented THEN hash(list_sort(string_split({_without_titles("written")}, ' '))) END AS accents,
  coalesce(y, CASE WHEN number IS NOT NULL AND number[4] < '4'
    THEN 1900 + 100 * (CAST(number[4] AS SMALLINT) // 2) + CAST(number[5:6] AS SMALLINT) END) AS y,
  m, d, number, card, {_PHONE} AS phone, unit, street,
  CASE WHEN sex IN ('nam', 'm', 'male', '1') THEN 1 WHEN sex IN ('nu', 'f', 'female', '0', '2') THEN 2
    WHEN number IS NOT NULL AND number[4] < '4' THEN 1 + CAST(number[4] AS TINYINT) % 2 END AS sex
FROM dated"""


def known(column: str) -> str:
    """A column as text without spaces around it, NULL where nothing is left.

    A null character would end the text in the middle for some of the engine's functions.
    """
    return f"nullif(trim(replace(CAST({identifier(column)} AS VARCHAR), chr(0), '')), '')"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _listed(words: frozenset[str]) -> str:
    return "(" + ", ".join(_text(word) for word in sorted(words)) + ")"


def _folded(column: str) -> str:
    plain = f"replace(strip_accents(lower(nfc_normalize({column}))), 'đ', 'd')"
    return f"nullif(trim(regexp_replace({plain}, '[^a-z0-9]+', ' ', 'g')), '')"


def _without_titles(name: str) -> str:
    """A title left off as ``linkage.names`` does it: ``ông`` and ``chu`` are family names too, unless one follows."""
    first, second = f"split_part({name}, ' ', 1)", f"split_part({name}, ' ', 2)"
    bare = f"replace(strip_accents(rtrim({first}, '.')), 'đ', 'd')"
    rest = f"{name}[length({first}) + 2:]"
    follows = f"replace(strip_accents({second}), 'đ', 'd')"
    return (
        f"CASE WHEN {second} <> '' AND ({bare} IN {_listed(TITLES - FAMILY_NAMES)} OR ({bare} IN"
        f" {_listed(TITLES & FAMILY_NAMES)} AND {follows} IN {_listed(COMMON_FAMILY_NAMES)}))"
        f" THEN {rest} ELSE {name} END"
    )


def _one_spelling(name: str) -> str:
    """``y`` for ``i`` at the end of a syllable and the family names that are one in two dialects made one."""
    plain = f"regexp_replace({name}, '([bcdghklmnprstvx])y\\b', '\\1i', 'g')"
    return (
        f"CASE WHEN regexp_matches({name}, '[bcdghklmnprstvx]y\\b|\\b(huynh|vo)\\b')"
        f" THEN regexp_replace(regexp_replace({plain}, '\\bhuynh\\b', 'hoang', 'g'), '\\bvo\\b', 'vu', 'g')"
        f" ELSE {name} END"
    )


def _placed(name: str) -> str:
    """Tone marks in the official place: ``hoà`` -> ``hòa``."""
    moved = name
    for old, new in OLD_TONES:
        moved = f"replace({moved}, {_text(old)}, {_text(new)})"
    return f"CASE WHEN regexp_matches({name}, 'o[àáảãạèéẻẽẹ]|u[ỳýỷỹỵ]') THEN {moved} ELSE {name} END"


_RENEWED: Final = " ".join(f"WHEN {_text(old)} THEN {_text(new)}" for old, new in sorted(MOBILE_OF_2018.items()))
_PHONE: Final = (
    f"CASE WHEN length(called) = 11 AND called[1:2] = '01' THEN (CASE called[1:4] {_RENEWED} END) || called[5:]"
    " WHEN length(called) BETWEEN 9 AND 11 THEN called END"
)
