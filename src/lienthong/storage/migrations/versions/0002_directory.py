"""The directory as the national node keeps it; empty at nodes that only follow.

Revision ID: 0002_directory
Revises: 0001_access
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0002_directory"
down_revision = "0001_access"

TABLES = """
CREATE TABLE member (
    id               text PRIMARY KEY,
    name_vi          text NOT NULL,
    name_en          text NOT NULL,
    sort_key         bytea NOT NULL,
    kind             text NOT NULL,
    block            text NOT NULL,
    parent           text REFERENCES member,
    state            text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'closed')),
    successor        text REFERENCES member,
    closed_on        date,
    verified         boolean NOT NULL,
    security_level   smallint NOT NULL CHECK (security_level BETWEEN 1 AND 5),
    contact_name     text NOT NULL,
    contact_position text NOT NULL,
    contact_phone    text NOT NULL,
    contact_email    text NOT NULL,
    CHECK ((state = 'closed') = (closed_on IS NOT NULL)),
    CHECK (successor <> id)
);

CREATE TABLE system (
    id              text PRIMARY KEY,
    member          text NOT NULL REFERENCES member,
    name_vi         text NOT NULL,
    name_en         text NOT NULL,
    default_purpose text
);
CREATE INDEX system_member ON system (member);

CREATE TABLE node (
    id             text PRIMARY KEY,
    operator       text NOT NULL REFERENCES member,
    peer_url       text NOT NULL,
    public_url     text NOT NULL,
    tls_sha256     text[] NOT NULL,
    log_origin     text NOT NULL UNIQUE,
    log_key        text NOT NULL,
    platform       text NOT NULL,
    runs_on        text NOT NULL,
    security_level smallint NOT NULL CHECK (security_level BETWEEN 1 AND 5),
    capabilities   text[] NOT NULL
);

-- A member acts through one node at a time.
CREATE TABLE node_member (
    member text PRIMARY KEY REFERENCES member,
    node   text NOT NULL REFERENCES node
);

CREATE TABLE member_key (
    keyid      text PRIMARY KEY,
    member     text NOT NULL REFERENCES member,
    node       text NOT NULL REFERENCES node,
    jwk        jsonb NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to   timestamptz NOT NULL,
    CHECK (valid_from <= valid_to)
);
CREATE INDEX member_key_member ON member_key (member);

CREATE TABLE purpose (
    code        text PRIMARY KEY,
    member      text NOT NULL REFERENCES member,
    title_vi    text NOT NULL,
    title_en    text NOT NULL,
    legal_basis text NOT NULL,
    valid_from  date NOT NULL,
    valid_to    date,
    dpv         text NOT NULL,
    common      boolean NOT NULL,
    CHECK (valid_to IS NULL OR valid_from <= valid_to)
);

CREATE TABLE rule (
    document     bytea PRIMARY KEY,
    provider     text NOT NULL REFERENCES member,
    provider_jws text NOT NULL
);

-- Certificates (PEM) of the authorities whose TLS chains nodes accept.
CREATE TABLE authority (
    certificate text PRIMARY KEY
);

CREATE TABLE directory_version (
    version        bigint PRIMARY KEY,
    content_digest text NOT NULL,
    issued         timestamptz NOT NULL,
    expires        timestamptz NOT NULL,
    envelope       bytea NOT NULL
);
"""


def upgrade() -> None:
    """Create the tables of the directory."""
    op.execute(TABLES)
    for table in ("member", "system", "node", "member_key", "purpose"):
        grant(op, table, app="SELECT, INSERT, UPDATE")
    for table in ("node_member", "rule", "authority", "directory_version"):
        grant(op, table, app="SELECT, INSERT, UPDATE, DELETE")
