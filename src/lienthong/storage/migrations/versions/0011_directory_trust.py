"""The directory's published metadata, revocations, and changes that wait for two operators.

Revision ID: 0011_directory_trust
Revises: 0010_monitoring
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0011_directory_trust"
down_revision = "0010_monitoring"

TABLES = """
-- Metadata and documents below /directory/tuf/, on the national node alone.
CREATE TABLE directory_file (
    name       text PRIMARY KEY,
    body       bytea NOT NULL,
    written_at timestamptz NOT NULL
);

-- What is revoked ahead of the directory's next version; a number is never given twice.
CREATE TABLE revocation (
    number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind    text NOT NULL CHECK (kind IN ('key', 'certificate', 'member', 'agreement')),
    subject text NOT NULL,
    at      timestamptz NOT NULL,
    reason  text NOT NULL,
    UNIQUE (kind, subject)
);

-- Who may approve changes: public keys; the private halves are with the operators.
CREATE TABLE directory_operator (
    keyid    text PRIMARY KEY,
    name     text NOT NULL,
    jwk      jsonb NOT NULL,
    added_at timestamptz NOT NULL
);

-- A change asked for, as the exact bytes that its applicant signed.
CREATE TABLE directory_change (
    id         text PRIMARY KEY,
    kind       text NOT NULL,
    member     text NOT NULL,
    document   bytea NOT NULL,
    state      text NOT NULL CHECK (state IN ('requested', 'approved-once', 'active', 'refused')),
    changed_at timestamptz NOT NULL
);
CREATE INDEX directory_change_member ON directory_change (member);

CREATE TABLE directory_approval (
    change   text NOT NULL REFERENCES directory_change,
    operator text NOT NULL REFERENCES directory_operator,
    jws      text NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (change, operator)
);
"""


def upgrade() -> None:
    """Make the tables; nobody deletes a revocation, an operator or an approval."""
    op.execute(TABLES)
    grant(op, "directory_file")
    grant(op, "revocation", app="SELECT, INSERT")
    grant(op, "directory_operator", app="SELECT, INSERT")
    grant(op, "directory_change", app="SELECT, INSERT, UPDATE")
    grant(op, "directory_approval", app="SELECT, INSERT")
