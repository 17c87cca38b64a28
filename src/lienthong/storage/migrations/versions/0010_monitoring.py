"""Monitoring: what the jobs process found of health, each process's counters, what is kept of every call.

Revision ID: 0010_monitoring
Revises: 0009_quota
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0010_monitoring"
down_revision = "0009_quota"

TABLES = """
CREATE TABLE health_note (
    name    text PRIMARY KEY,
    finding jsonb NOT NULL,
    at      timestamptz NOT NULL
);

-- One row a process, replaced every few seconds; those of ended processes go after a while.
CREATE TABLE process_counters (
    process text PRIMARY KEY,
    started timestamptz NOT NULL,
    at      timestamptz NOT NULL,
    counted jsonb NOT NULL
);

-- What is kept of calls for a dated time: one row a member and flush, holding many calls.
CREATE TABLE monitored_calls (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member  text NOT NULL,
    begins  timestamptz NOT NULL,
    ends    timestamptz NOT NULL,
    calls   bytea NOT NULL
);
CREATE INDEX monitored_calls_member ON monitored_calls (member, ends);
CREATE INDEX monitored_calls_ends ON monitored_calls (ends);
"""


def upgrade() -> None:
    """Make the tables and give the app role its rights."""
    op.execute(TABLES)
    grant(op, "health_note", app="SELECT, INSERT, UPDATE, DELETE")
    grant(op, "process_counters", app="SELECT, INSERT, UPDATE, DELETE")
    grant(op, "monitored_calls", app="SELECT, INSERT, DELETE")
