"""Evidence files of cases, sealed, beside the event they came with; cases that are late and were reported upwards.

Revision ID: 0026_evidence
Revises: 0025_notices
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0026_evidence"
down_revision = "0025_notices"

TABLES = """
CREATE TABLE case_evidence (
    "case"     text NOT NULL,
    id         text NOT NULL,
    -- The event it came with.
    number     integer NOT NULL,
    name       text NOT NULL,
    media_type text NOT NULL,
    size       integer NOT NULL,
    -- Of the content as it was sent.
    sha256     bytea NOT NULL,
    at         timestamptz NOT NULL,
    -- Under a key that the database does not hold.
    sealed     bytea NOT NULL,
    PRIMARY KEY ("case", id),
    FOREIGN KEY ("case", number) REFERENCES case_event
);
ALTER TABLE case_evidence ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- The step to which a late case was reported; 0: not yet.
ALTER TABLE case_file ADD COLUMN escalated smallint NOT NULL DEFAULT 0;

CREATE OR REPLACE VIEW stat_case AS
SELECT kind, owner,
       count(*) FILTER (WHERE ended_at IS NULL) AS running,
       count(*) FILTER (
           WHERE ended_at IS NULL AND paused_at IS NULL
             AND (due <= now() OR (answer_due <= now() AND answered_at IS NULL))
       ) AS overdue,
       count(*) FILTER (WHERE ended_at IS NOT NULL) AS ended,
       count(*) FILTER (WHERE ended_at IS NULL AND escalated > 0) AS escalated
  FROM case_file
 GROUP BY kind, owner;
"""


def upgrade() -> None:
    """Make the table; nobody changes or removes what was kept."""
    op.execute(TABLES)
    grant(op, "case_evidence", app="SELECT, INSERT")
