"""What the directory says of witnesses; several nodes may act for one member.

Revision ID: 0008_directory_witnesses
Revises: 0007_witness
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0008_directory_witnesses"
down_revision = "0007_witness"

TABLES = """
-- C2SP verifier key with which a node cosigns; empty while it is no witness.
ALTER TABLE node ADD COLUMN witness_key text NOT NULL DEFAULT '';

-- How many of which nodes must have cosigned a checkpoint.
CREATE TABLE witness_policy (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    threshold integer NOT NULL CHECK (threshold >= 0),
    witnesses text[] NOT NULL
);

-- A second node of a member stands in for the first.
ALTER TABLE node_member DROP CONSTRAINT node_member_pkey, ADD PRIMARY KEY (member, node);
"""


def upgrade() -> None:
    """Make room for witnesses and second nodes."""
    op.execute(TABLES)
    grant(op, "witness_policy", app="SELECT, INSERT, UPDATE")
