"""Agreements: the exact signed bytes, what happened to them, and tables that can be rebuilt from both.

Revision ID: 0004_agreements
Revises: 0003_catalog
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0004_agreements"
down_revision = "0003_catalog"

TABLES = """
-- The truth: documents as they were signed, by rule without a second signature.
CREATE TABLE agreement_document (
    digest       text PRIMARY KEY CHECK (digest ~ '^sha-256:[0-9a-f]{64}$'),
    agreement    text NOT NULL,
    version      integer NOT NULL CHECK (version > 0),
    by_rule      boolean NOT NULL,
    document     bytea NOT NULL,
    provider_jws text NOT NULL,
    consumer_jws text,
    stored_at    timestamptz NOT NULL,
    -- An agreement by rule counts while the directory lists it, and for those who accepted it.
    published    boolean NOT NULL DEFAULT false,
    UNIQUE (agreement, version),
    CHECK (by_rule = (consumer_jws IS NULL)),
    CHECK (by_rule OR NOT published)
);

-- Signed notices of termination; ends_at is inside the document too.
CREATE TABLE agreement_notice (
    digest    text PRIMARY KEY,
    agreement text NOT NULL,
    ends      text NOT NULL REFERENCES agreement_document,
    document  bytea NOT NULL,
    jws       text NOT NULL,
    by_member text NOT NULL,
    ends_at   timestamptz NOT NULL,
    stored_at timestamptz NOT NULL,
    delivered boolean NOT NULL
);
CREATE INDEX agreement_notice_ends ON agreement_notice (ends);

-- The first use of an agreement by rule is its acceptance.
CREATE TABLE agreement_acceptance (
    digest      text NOT NULL REFERENCES agreement_document,
    member      text NOT NULL,
    at          timestamptz NOT NULL,
    exchange_id text NOT NULL,
    PRIMARY KEY (digest, member)
);

-- Index: the version of each agreement that counts.
CREATE TABLE agreement (
    id       text PRIMARY KEY,
    version  integer NOT NULL,
    digest   text NOT NULL,
    mode     text NOT NULL,
    provider text NOT NULL,
    consumer text NOT NULL,
    target   text NOT NULL,
    starts   timestamptz NOT NULL,
    ends     timestamptz,
    ended_at timestamptz
);

-- Index: what is agreed for whom, one row for each purpose.
CREATE TABLE agreement_target (
    agreement text NOT NULL REFERENCES agreement ON DELETE CASCADE,
    target    text NOT NULL,
    provider  text NOT NULL,
    consumer  text NOT NULL,
    purpose   text NOT NULL,
    PRIMARY KEY (agreement, purpose)
);
CREATE INDEX agreement_target_wanted ON agreement_target (target, consumer);

CREATE TABLE negotiation (
    pid          text PRIMARY KEY,
    peer_pid     text,
    side         text NOT NULL CHECK (side IN ('consumer', 'provider')),
    state        text NOT NULL CHECK (state IN ('REQUESTED', 'OFFERED', 'ACCEPTED', 'AGREED', 'VERIFIED', 'FINALIZED',
                                                'TERMINATED')),
    provider     text NOT NULL,
    consumer     text NOT NULL,
    target       text NOT NULL,
    offer        bytea NOT NULL,
    predecessor  text,
    note         text NOT NULL,
    document     bytea,
    provider_jws text,
    consumer_jws text,
    ended_by     text CHECK (ended_by IN ('consumer', 'provider')),
    reason       text,
    provision    text,
    requested_at timestamptz NOT NULL,
    changed_at   timestamptz NOT NULL,
    -- Whether the other side has answered the last message of this one.
    delivered    boolean NOT NULL,
    CHECK ((state = 'TERMINATED') = (ended_by IS NOT NULL)),
    -- A provider refuses in writing, with the reason and the legal provision, or not at all.
    CHECK (ended_by IS NULL OR btrim(reason) <> ''),
    CHECK (ended_by IS DISTINCT FROM 'provider' OR (provision IS NOT NULL AND btrim(provision) <> '')),
    CHECK (ended_by IS NULL OR reason IS NOT NULL)
);
CREATE UNIQUE INDEX negotiation_peer ON negotiation (side, peer_pid) WHERE peer_pid IS NOT NULL;
CREATE INDEX negotiation_state ON negotiation (state, requested_at);
CREATE INDEX negotiation_undelivered ON negotiation (changed_at) WHERE NOT delivered;
"""


def upgrade() -> None:
    """Create the tables of agreements."""
    op.execute(TABLES)
    grant(op, "agreement_document", app="SELECT, INSERT, UPDATE")
    grant(op, "agreement_notice", app="SELECT, INSERT, UPDATE")
    grant(op, "agreement_acceptance", app="SELECT, INSERT")
    grant(op, "negotiation", app="SELECT, INSERT, UPDATE")
    for table in ("agreement", "agreement_target"):
        grant(op, table, app="SELECT, INSERT, UPDATE, DELETE")
