"""Rights of the two lesser roles, given by the revision that makes a table.

Role names follow the database's name, so a revision never spells them.
"""

from __future__ import annotations

import re
from typing import Protocol

RELATION = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?")
RIGHTS = re.compile(r"(SELECT|INSERT|UPDATE|DELETE)(\s*,\s*(SELECT|INSERT|UPDATE|DELETE))*")


class Operations(Protocol):
    """What is needed of ``alembic.op``."""

    def execute(self, sqltext: str) -> None:
        """Run one statement."""
        ...


def grant(op: Operations, relation: str, *, app: str = "SELECT, INSERT, UPDATE, DELETE", log: str = "") -> None:
    """Give ``app`` and ``log`` their rights on a table or view; an empty text gives none.

    Rights are SELECT, INSERT, UPDATE and DELETE, separated by commas.  Raises ValueError for anything else.
    """
    if not RELATION.fullmatch(relation):
        raise ValueError(f"not a table's name: {relation}")
    for role, rights in (("app", app), ("log", log)):
        if not rights:
            continue
        if not RIGHTS.fullmatch(rights):
            raise ValueError(f"not a list of rights: {rights}")
        op.execute(
            f"DO $$ BEGIN EXECUTE format('GRANT {rights} ON {relation} TO %I', current_database() || '_{role}'); END $$"
        )
