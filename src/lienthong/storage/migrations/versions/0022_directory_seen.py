"""When each content of the directory was first signed, and whose hand an operator's key is in.

Revision ID: 0022_directory_seen
Revises: 0021_deeds
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0022_directory_seen"
down_revision = "0021_deeds"

TABLES = """
-- Of versions that say the same only the newest is kept; here stands when the first of them was signed.
CREATE TABLE directory_first_signed (
    version        bigint PRIMARY KEY,
    content_digest text NOT NULL,
    issued         timestamptz NOT NULL
);

-- The person who holds an operator's key, as the national node's accounts know them: two keys of one person are one.
CREATE TABLE directory_operator_person (
    operator text PRIMARY KEY REFERENCES directory_operator,
    person   text NOT NULL
);
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(TABLES)
    grant(op, "directory_first_signed", app="SELECT, INSERT")
    grant(op, "directory_operator_person", app="SELECT, INSERT")
