"""Reserved for the tables of catalog.

Revision ID: 0003_catalog
Revises: 0002_directory
"""

revision = "0003_catalog"
down_revision = "0002_directory"


def upgrade() -> None:
    """Nothing yet."""
