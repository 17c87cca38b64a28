"""Anonymous uses of open data, counted.

Revision ID: 0008_open_use
Revises: 0008_directory_witnesses
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0008_open_use"
down_revision = "0008_directory_witnesses"

TABLES = """
-- Nobody is named: how often each file or door was used in each hour (UTC).
CREATE TABLE open_use (
    service  text NOT NULL,
    way      text NOT NULL,
    file     text NOT NULL,
    hour     timestamptz NOT NULL,
    uses     bigint NOT NULL,
    bytes    bigint NOT NULL,
    -- Part of a day's record in the log.
    recorded boolean NOT NULL DEFAULT false,
    PRIMARY KEY (service, way, file, hour)
);
CREATE INDEX open_use_waiting ON open_use (hour) WHERE NOT recorded;
"""


def upgrade() -> None:
    """Create the table of counts."""
    op.execute(TABLES)
    grant(op, "open_use", app="SELECT, INSERT, UPDATE")
