"""Forms: the one-time keys of those that were sent, so that a second sending does nothing.

Revision ID: 0012_forms
Revises: 0011_events
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0012_forms"
down_revision = "0011_events"

TABLES = """
CREATE TABLE form_key (
    -- Digest of the key and the session that sent it.
    key     text PRIMARY KEY,
    -- Where the deed can be seen.
    led_to  text NOT NULL DEFAULT '',
    used_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX form_key_age ON form_key (used_at);
"""


def upgrade() -> None:
    """Create the table of forms that were sent."""
    op.execute(TABLES)
    grant(op, "form_key", app="SELECT, INSERT, UPDATE, DELETE")
