"""Reserved for the tables of share.

Revision ID: 0005_share
Revises: 0004_agreements
"""

revision = "0005_share"
down_revision = "0004_agreements"


def upgrade() -> None:
    """Nothing yet."""
