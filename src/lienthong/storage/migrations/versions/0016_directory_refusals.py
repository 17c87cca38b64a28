"""Refused changes to the directory: who refused, why, as it was signed.

Revision ID: 0016_directory_refusals
Revises: 0015_log_shards
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0016_directory_refusals"
down_revision = "0015_log_shards"

TABLES = """
CREATE TABLE directory_refusal (
    change   text PRIMARY KEY REFERENCES directory_change,
    operator text NOT NULL REFERENCES directory_operator,
    jws      text NOT NULL,
    reason   text NOT NULL CHECK (reason <> ''),
    at       timestamptz NOT NULL
);
"""


def upgrade() -> None:
    """Make the table; nobody takes a refusal back."""
    op.execute(TABLES)
    grant(op, "directory_refusal", app="SELECT, INSERT")
