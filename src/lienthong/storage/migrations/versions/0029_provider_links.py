"""People end the link of their account with an identity provider themselves.

Revision ID: 0029_provider_links
Revises: 0028_event_push
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0029_provider_links"
down_revision = "0028_event_push"


def upgrade() -> None:
    """Let the node delete a link; each that was made or ended stays in the audit."""
    grant(op, "person_at_provider", app="DELETE")
