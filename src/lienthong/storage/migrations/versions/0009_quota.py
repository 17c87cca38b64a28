"""Quotas: how many uses of an agreement's day its gateways have taken.

Revision ID: 0009_quota
Revises: 0008_open_use
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0009_quota"
down_revision = "0008_open_use"

TABLES = """
-- A gateway takes several uses at once and gives back what it did not need.
CREATE TABLE quota_day (
    side      text NOT NULL CHECK (side IN ('consumer', 'provider')),
    agreement text NOT NULL,
    day       date NOT NULL,
    taken     integer NOT NULL,
    -- What the last taking got.
    got       integer NOT NULL,
    PRIMARY KEY (side, agreement, day)
);
"""


def upgrade() -> None:
    """Make the table and give the app role its rights."""
    op.execute(TABLES)
    grant(op, "quota_day", app="SELECT, INSERT, UPDATE, DELETE")
