"""Where events are pushed to, and how far each push has come.

Revision ID: 0028_event_push
Revises: 0027_concerned
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0028_event_push"
down_revision = "0027_concerned"

TABLES = """
CREATE TABLE event_push (
    subscription text PRIMARY KEY REFERENCES event_subscription,
    url          text NOT NULL,
    -- The bearer token, sealed.
    token        bytea,
    -- Number of the last event that was taken.
    after        bigint NOT NULL DEFAULT 0,
    state        text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'ended')),
    failures     integer NOT NULL DEFAULT 0,
    problem      text NOT NULL DEFAULT '',
    next_at      timestamptz NOT NULL DEFAULT now(),
    -- Counts leases: what a process notes after its own ran out is not kept.
    taken        bigint NOT NULL DEFAULT 0
);
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(TABLES)
    grant(op, "event_push", app="SELECT, INSERT, UPDATE")
