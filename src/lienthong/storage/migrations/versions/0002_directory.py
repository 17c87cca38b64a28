"""Reserved for the tables of directory.

Revision ID: 0002_directory
Revises: 0001_access
"""

revision = "0002_directory"
down_revision = "0001_access"


def upgrade() -> None:
    """Nothing yet."""
