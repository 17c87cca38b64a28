"""The access log: records, their places in the log, checkpoints, nonces.

Revision ID: 0001_access
Revises:
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0001_access"
down_revision = None

TABLES = """
CREATE TABLE record (
    seq    bigint GENERATED ALWAYS AS IDENTITY,
    -- The writing transaction: the sequencer reads only below the oldest one still running,
    -- so a batch that commits late is never skipped.
    tx     xid8   NOT NULL DEFAULT pg_current_xact_id(),
    hash   bytea  NOT NULL,
    leaf   bytea  NOT NULL,
    detail bytea
-- Leaf and detail together pass 2 kB: without this, each would be compressed in vain (the detail is ciphertext).
) WITH (toast_tuple_target = 8160);
CREATE INDEX record_order ON record (tx, seq);

CREATE TABLE entry (
    idx         bigint PRIMARY KEY,
    seq         bigint NOT NULL,
    hash        bytea  NOT NULL,
    at          timestamptz NOT NULL,
    side        text NOT NULL,
    exchange_id text NOT NULL,
    consumer    text NOT NULL,
    provider    text NOT NULL,
    resource    text NOT NULL,
    way         text NOT NULL,
    purpose     text,
    agreement   text,
    agreement_digest text,
    outcome     text NOT NULL,
    reason      text,
    rows        bigint,
    bytes       bigint
);
CREATE INDEX entry_hash ON entry (hash);
CREATE INDEX entry_exchange ON entry (exchange_id);

CREATE TABLE sequenced (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    tx   xid8   NOT NULL,
    seq  bigint NOT NULL,
    size bigint NOT NULL
);
INSERT INTO sequenced (tx, seq, size) VALUES ('0', 0, 0);

CREATE TABLE checkpoint (
    size bigint PRIMARY KEY,
    root bytea NOT NULL,
    note bytea NOT NULL,
    at   timestamptz NOT NULL DEFAULT now()
);

-- Seen nonces live only as long as a message is fresh; losing them in a crash is covered by
-- refusing messages created before the start.
CREATE UNLOGGED TABLE nonce (
    key     text   NOT NULL,
    nonce   text   NOT NULL,
    expires bigint NOT NULL,
    PRIMARY KEY (key, nonce)
);
-- Gone after a crash, like everything here: that is how the crash is noticed.
INSERT INTO nonce VALUES ('', 'database-did-not-crash', 4611686018427387904);
"""


def upgrade() -> None:
    """Create the tables of the access log."""
    op.execute(TABLES)
    grant(op, "record", app="SELECT", log="INSERT")
    grant(op, "entry", app="SELECT, INSERT")
    grant(op, "sequenced", app="SELECT, UPDATE")
    grant(op, "checkpoint", app="SELECT, INSERT")
    grant(op, "nonce", app="SELECT, INSERT, DELETE")
