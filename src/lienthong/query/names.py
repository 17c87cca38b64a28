"""How a table is named in SQL: ``member.system.table``, or ``system.table`` and ``table`` for a node's own.

Names compare without case, as DuckDB's do.  A part that is not a plain word is quoted: ``"h31.12".dancu.citizen``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from lienthong.i18n import T
from lienthong.query.problems import AmbiguousTable, UnknownTable

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^".\s]+))\s*(\.|$)')

TableName = tuple[str, ...]
"""One to three parts in lower case: (table,), (system, table) or (member code, system, table)."""


def fold_name(text: str) -> str:
    """``text`` as names are compared: ASCII letters in lower case, every other letter as it is (DuckDB's rule)."""
    return text.translate(_LOWER)


def write_name(parts: Sequence[str]) -> str:
    """The one spelling of a name: lower case, quoted only where needed."""
    return ".".join(part if _PLAIN.fullmatch(part) else '"' + part.replace('"', '""') + '"' for part in parts)


def read_name(text: str) -> TableName:
    """The parts of a name as ``write_name`` spells it (or a person would).  Raises UnknownTable for anything else."""
    parts: list[str] = []
    place = 0
    while found := _PART.match(text, place):
        quoted, plain, dot = found.groups()
        parts.append(fold_name(quoted.replace('""', '"') if quoted else plain))
        place = found.end()
        if not dot:
            break
    if place != len(text) or not 1 <= len(parts) <= 3:
        raise unknown_table(text)
    return tuple(parts)


def service_name(service: str) -> TableName:
    """The full name of the service with id ``service``: VN/GOV/G01/dancu/citizen is ("g01", "dancu", "citizen")."""
    member, system, name = service.split("/")[-3:]
    return fold_name(member), fold_name(system), fold_name(name)


def find_service(text: str, services: Iterable[str], own_member: str | None = None) -> str:
    """The id among ``services`` that the table name ``text`` means.

    Names of one or two parts mean services of ``own_member`` (a member id).  Raises UnknownTable or AmbiguousTable.
    """
    name = read_name(text)
    fitting: Mapping[str, None] = {
        service: None
        for service in services
        if service_name(service)[-len(name) :] == name
        and (len(name) == 3 or (own_member is not None and service.startswith(own_member + "/")))
    }
    if not fitting:
        raise unknown_table(text)
    if len(fitting) > 1:
        raise AmbiguousTable(
            T("The name {table} fits several tables."),
            mend=T("Write it with its system and member: member.system.table."),
            table=text[:200],
        )
    return next(iter(fitting))


def unknown_table(text: str) -> UnknownTable:
    """The refusal of a table nobody knows or nobody granted."""
    return UnknownTable(
        T("There is no table {table} that this system may query."),
        mend=T("Write member.system.table; a table of another member needs an agreement that allows queries."),
        table=text[:200],
    )


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
