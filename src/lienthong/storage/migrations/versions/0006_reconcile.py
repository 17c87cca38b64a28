"""Both sides of a use: how far each reader of the log is, halves without counterpart, counts of pairs by day.

Revision ID: 0006_reconcile
Revises: 0005_share
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0006_reconcile"
down_revision = "0005_share"

TABLES = """
-- Jobs that read the records in the log's order, each at its own pace.
CREATE TABLE record_reader (
    name text PRIMARY KEY,
    tx   xid8   NOT NULL DEFAULT '0',
    seq  bigint NOT NULL DEFAULT 0
);

-- Records of ours whose counterpart was not found; a matched pair leaves only its count.
CREATE TABLE half_open (
    hash        bytea PRIMARY KEY,
    leaf        bytea NOT NULL,
    own         text NOT NULL,
    peer        text NOT NULL,
    exchange_id text NOT NULL,
    resource    text NOT NULL,
    day         date NOT NULL,
    since       timestamptz NOT NULL,
    finding     text NOT NULL CHECK (finding IN ('waiting', 'missing', 'differs')),
    reason      text,
    asked       integer NOT NULL DEFAULT 1,
    next_at     timestamptz,
    CHECK ((finding = 'waiting') = (next_at IS NOT NULL))
);
CREATE INDEX half_open_due ON half_open (next_at) WHERE finding = 'waiting';
CREATE INDEX half_open_own ON half_open (own, since);

-- Records that the other side showed and of which we hold no half.
CREATE TABLE half_claimed (
    hash        bytea PRIMARY KEY,
    own         text NOT NULL,
    peer        text NOT NULL,
    exchange_id text NOT NULL,
    resource    text NOT NULL,
    day         date NOT NULL,
    since       timestamptz NOT NULL
);
CREATE INDEX half_claimed_own ON half_claimed (own, since);
CREATE INDEX half_claimed_peer ON half_claimed (peer);

CREATE TABLE pair_day (
    day      date NOT NULL,
    own      text NOT NULL,
    peer     text NOT NULL,
    expected bigint NOT NULL,
    matched  bigint NOT NULL,
    missing  bigint NOT NULL,
    differs  bigint NOT NULL,
    PRIMARY KEY (day, own, peer)
);

-- On the national node: what both sides told of uses under agreements by rule.
CREATE TABLE observed (
    hash        bytea PRIMARY KEY,
    node        text NOT NULL,
    side        text NOT NULL,
    exchange_id text NOT NULL,
    at          timestamptz NOT NULL,
    consumer    text NOT NULL,
    provider    text NOT NULL,
    resource    text NOT NULL,
    outcome     text NOT NULL,
    agreement_digest text,
    request_signature_digest text,
    peer_record bytea
);
CREATE INDEX observed_exchange ON observed (exchange_id);
CREATE INDEX observed_at ON observed (at);
"""


def upgrade() -> None:
    """Make the tables and give the app role its rights."""
    op.execute(TABLES)
    grant(op, "record_reader", app="SELECT, INSERT, UPDATE")
    grant(op, "half_open", app="SELECT, INSERT, UPDATE, DELETE")
    grant(op, "half_claimed", app="SELECT, INSERT, DELETE")
    grant(op, "pair_day", app="SELECT, INSERT, UPDATE")
    grant(op, "observed", app="SELECT, INSERT, DELETE")
