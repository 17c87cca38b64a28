"""Reserved for the tables of agreements.

Revision ID: 0004_agreements
Revises: 0003_catalog
"""

revision = "0004_agreements"
down_revision = "0003_catalog"


def upgrade() -> None:
    """Nothing yet."""
