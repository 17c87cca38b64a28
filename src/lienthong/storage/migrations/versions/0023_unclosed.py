"""Finding streams that nobody closed, without reading the whole log.

Revision ID: 0023_unclosed
Revises: 0022_directory_seen
"""

from alembic import op

revision = "0023_unclosed"
down_revision = "0022_directory_seen"


def upgrade() -> None:
    """Make the index over openings alone."""
    op.execute("CREATE INDEX entry_opened ON entry (at) WHERE reason = 'opened'")
