"""Published services: their public description and, apart from it, where their data lies.

Revision ID: 0003_catalog
Revises: 0002_directory
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0003_catalog"
down_revision = "0002_directory"

TABLES = """
CREATE TABLE service (
    id          text PRIMARY KEY,
    member      text NOT NULL,
    dataset     text,
    enabled     boolean NOT NULL,
    version     integer NOT NULL,
    description jsonb NOT NULL,
    -- Never leaves the node: address and password of the source.
    source      jsonb,
    changed_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX service_member ON service (member);
CREATE INDEX service_dataset ON service (dataset);
"""


def upgrade() -> None:
    """Make the table and give the app role its rights."""
    op.execute(TABLES)
    grant(op, "service", app="SELECT, INSERT, UPDATE, DELETE")
