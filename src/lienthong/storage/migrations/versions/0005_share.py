"""Taking tables: profiles, the files made of a table under a view, and who is reading them.

Revision ID: 0005_share
Revises: 0004_agreements
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0005_share"
down_revision = "0004_agreements"

TABLES = """
CREATE TABLE share_profile (
    id         text PRIMARY KEY,
    -- SHA-256 of the bearer token; the token itself is known to its holder only.
    token_hash bytea NOT NULL UNIQUE,
    agreement  text NOT NULL,
    system     text NOT NULL,
    purpose    text,
    expires    timestamptz NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX share_profile_agreement ON share_profile (agreement);

CREATE TABLE share_version (
    service     text NOT NULL,
    view_digest text NOT NULL,
    version     bigint NOT NULL,
    made_at     timestamptz NOT NULL,
    source_mark text NOT NULL,
    fields      jsonb NOT NULL,
    files       jsonb NOT NULL,
    PRIMARY KEY (service, view_digest, version)
);

CREATE TABLE share_reading (
    id          text PRIMARY KEY,
    profile     text NOT NULL REFERENCES share_profile,
    service     text NOT NULL,
    view_digest text NOT NULL,
    version     bigint NOT NULL,
    opened_at   timestamptz NOT NULL,
    expires     timestamptz NOT NULL,
    rows        bigint NOT NULL,
    -- What the access gate wants to find again when the reading is closed.
    note        text NOT NULL,
    bytes_taken bigint NOT NULL DEFAULT 0,
    requests    bigint NOT NULL DEFAULT 0,
    closed_at   timestamptz
);
CREATE INDEX share_reading_open ON share_reading (expires) WHERE closed_at IS NULL;
"""


def upgrade() -> None:
    """Make the tables and give the app role its rights."""
    op.execute(TABLES)
    grant(op, "share_profile", app="SELECT, INSERT, UPDATE")
    grant(op, "share_version", app="SELECT, INSERT, DELETE")
    grant(op, "share_reading", app="SELECT, INSERT, UPDATE, DELETE")
