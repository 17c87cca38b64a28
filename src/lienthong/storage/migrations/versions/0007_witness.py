"""Witnesses: heads of other logs that this node cosigned, what others cosigned of its own, proofs of forks.

Revision ID: 0007_witness
Revises: 0006_reconcile
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0007_witness"
down_revision = "0006_reconcile"

TABLES = """
-- As a witness: the largest head of each other log that this node ever cosigned.
CREATE TABLE witness_seen (
    origin text PRIMARY KEY,
    size   bigint NOT NULL,
    root   bytea NOT NULL,
    -- The signed note, with this node's cosignature.
    note   bytea NOT NULL,
    at     timestamptz NOT NULL DEFAULT now()
);

-- As a log: what witnesses said of this node's checkpoints.
CREATE TABLE cosignature (
    size    bigint NOT NULL,
    witness text NOT NULL,
    line    text NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (size, witness)
);

-- Evidence that a log showed two histories; kept for ever, since it convicts.
CREATE TABLE fork_evidence (
    digest   text PRIMARY KEY,
    origin   text NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    evidence bytea NOT NULL
);

-- RFC 3161 answers of a time-stamping authority about checkpoints.
CREATE TABLE checkpoint_stamp (
    size  bigint PRIMARY KEY,
    token bytea NOT NULL,
    at    timestamptz NOT NULL
);

-- Each sequencer that takes the lock raises the epoch; one of an earlier epoch can write nothing any more.
ALTER TABLE sequenced ADD COLUMN epoch bigint NOT NULL DEFAULT 0;

-- Present: the log was found restored, shortened or forked, and nothing is signed.
CREATE TABLE log_recovery (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    since  timestamptz NOT NULL DEFAULT now(),
    cause  text NOT NULL,
    facts  jsonb NOT NULL
);
CREATE FUNCTION tell_recovery() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('log_recovery', '');
    RETURN NULL;
END $$;
CREATE TRIGGER log_recovery_changed AFTER INSERT OR UPDATE OR DELETE ON log_recovery
    FOR EACH STATEMENT EXECUTE FUNCTION tell_recovery();
"""


def upgrade() -> None:
    """Create the tables of witnesses and of recovery."""
    op.execute(TABLES)
    grant(op, "witness_seen", app="SELECT, INSERT, UPDATE")
    grant(op, "cosignature", app="SELECT, INSERT, UPDATE")
    grant(op, "fork_evidence", app="SELECT, INSERT")
    grant(op, "checkpoint_stamp", app="SELECT, INSERT")
    grant(op, "log_recovery", app="SELECT, INSERT, UPDATE, DELETE")
