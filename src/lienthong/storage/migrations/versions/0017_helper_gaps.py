"""Times in which a helper of the log was missing: witnesses, the time-stamping authority, a fresh directory.

Revision ID: 0017_helper_gaps
Revises: 0016_directory_refusals
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0017_helper_gaps"
down_revision = "0016_directory_refusals"

TABLES = """
CREATE TABLE helper_gap (
    helper text NOT NULL,
    since  timestamptz NOT NULL,
    -- NULL while it is missing.
    until  timestamptz,
    -- The rule by which it stops uses; NULL while it stops none.
    basis  text,
    PRIMARY KEY (helper, since)
);
CREATE UNIQUE INDEX helper_gap_open ON helper_gap (helper) WHERE until IS NULL;
CREATE TRIGGER helper_gap_changed AFTER INSERT OR UPDATE ON helper_gap
    FOR EACH STATEMENT EXECUTE FUNCTION tell_recovery();
"""


def upgrade() -> None:
    """Create the table of gaps; whoever watches for recovery is told of changes."""
    op.execute(TABLES)
    grant(op, "helper_gap", app="SELECT, INSERT, UPDATE")
