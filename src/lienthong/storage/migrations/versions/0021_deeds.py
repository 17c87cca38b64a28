"""Deeds by the API: what was answered to a call with an Idempotency-Key, so that a second sending does nothing.

Revision ID: 0021_deeds
Revises: 0020_case_officer
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0021_deeds"
down_revision = "0020_case_officer"

TABLES = """
CREATE TABLE deed_answer (
    -- Keyed hash of the deed's name, the person and the key that was sent.
    key    bytea PRIMARY KEY,
    -- SHA-256 of the body.
    body   bytea NOT NULL,
    at     timestamptz NOT NULL DEFAULT now(),
    -- Sealed under a key that the database does not hold; NULL while the first call is under way.
    answer bytea
);
CREATE INDEX deed_answer_age ON deed_answer (at);
"""


def upgrade() -> None:
    """Create the table of answers."""
    op.execute(TABLES)
    grant(op, "deed_answer", app="SELECT, INSERT, UPDATE, DELETE")
