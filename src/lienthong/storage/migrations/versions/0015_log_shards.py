"""The log as a chain of half-year shards; records found by their number.

What was one tree so far becomes the first shard and is closed when the half-year ends in which it was upgraded.

Revision ID: 0015_log_shards
Revises: 0014_figures
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0015_log_shards"
down_revision = "0014_figures"

TABLES = """
CREATE TABLE log_shard (
    -- Number of its first entry; the number before it is that of the final checkpoint of the shard before.
    begin     bigint PRIMARY KEY,
    -- Empty for the first shard, which bears the log's own name.
    name      text NOT NULL UNIQUE,
    half      text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO log_shard (begin, name, half)
SELECT 0, '', to_char(now() AT TIME ZONE 'UTC', 'YYYY') || 'h'
       || CASE WHEN extract(month FROM now() AT TIME ZONE 'UTC') <= 6 THEN 1 ELSE 2 END;
-- An entry names its record by this number: without the index a receipt reads the whole table.
CREATE INDEX record_seq ON record (seq);
"""


def upgrade() -> None:
    """Make the table of shards with the first one, and the index."""
    op.execute(TABLES)
    grant(op, "log_shard", app="SELECT, INSERT, UPDATE")
