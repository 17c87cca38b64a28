"""Copies of other members' tables: how they compare with their sources, and which rows do not.

Revision ID: 0024_copies
Revises: 0023_unclosed
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0024_copies"
down_revision = "0023_unclosed"

TABLES = """
-- The newest comparison of each copy.
CREATE TABLE copy_compared (
    copy       text NOT NULL,
    source     text NOT NULL,
    at         timestamptz NOT NULL,
    same       bigint NOT NULL DEFAULT 0,
    differing  bigint NOT NULL DEFAULT 0,
    only_here  bigint NOT NULL DEFAULT 0,
    only_there bigint NOT NULL DEFAULT 0,
    by_field   jsonb  NOT NULL DEFAULT '{}',
    agreement  text   NOT NULL DEFAULT '',
    record     text   NOT NULL DEFAULT '',
    refusal    text   NOT NULL DEFAULT '',
    PRIMARY KEY (copy, source)
);

-- Rows that differed in it: keys and names of fields, no values.  Replaced by the next comparison.
CREATE TABLE copy_difference (
    copy   text NOT NULL,
    source text NOT NULL,
    key    text NOT NULL,
    kind   text NOT NULL CHECK (kind IN ('differs', 'only-here')),
    fields text[] NOT NULL,
    -- The case at the source that asks for the correction.
    "case" text NOT NULL DEFAULT '',
    PRIMARY KEY (copy, source, key),
    FOREIGN KEY (copy, source) REFERENCES copy_compared
);
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(TABLES)
    grant(op, "copy_compared", app="SELECT, INSERT, UPDATE")
    grant(op, "copy_difference", app="SELECT, INSERT, UPDATE, DELETE")
