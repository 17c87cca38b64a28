"""Which members beside the applicant a change of the directory touches, so that they see it coming.

Revision ID: 0027_concerned
Revises: 0026_evidence
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0027_concerned"
down_revision = "0026_evidence"

TABLES = """
CREATE TABLE directory_change_concern (
    change text NOT NULL REFERENCES directory_change,
    member text NOT NULL,
    PRIMARY KEY (change, member)
);
CREATE INDEX directory_change_concern_member ON directory_change_concern (member);
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(TABLES)
    grant(op, "directory_change_concern", app="SELECT, INSERT")
