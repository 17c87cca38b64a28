"""Events: feeds of tables' changes, subscriptions of this node's systems and what arrived for them.

Revision ID: 0011_events
Revises: 0011_directory_trust
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0011_events"
down_revision = "0011_directory_trust"

TABLES = """
-- At the provider: the changes of one table under one view.
CREATE TABLE event_feed (
    id          text PRIMARY KEY,
    service     text NOT NULL,
    view        jsonb NOT NULL,
    -- Number of the file of hashes that the last comparison left.
    snapshot    bigint NOT NULL DEFAULT 0,
    source_mark text NOT NULL DEFAULT '',
    head        bigint NOT NULL DEFAULT 0,
    bulk        boolean NOT NULL DEFAULT false,
    problem     text,
    asked_at    timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE event (
    feed     text NOT NULL REFERENCES event_feed,
    sequence bigint NOT NULL,
    kind     text NOT NULL,
    at       timestamptz NOT NULL,
    -- Key and changed values of the row, sealed.
    sealed   bytea NOT NULL,
    PRIMARY KEY (feed, sequence)
);

-- At the subscriber.
CREATE TABLE event_subscription (
    id      text PRIMARY KEY,
    system  text NOT NULL,
    service text NOT NULL,
    purpose text,
    feed    text NOT NULL DEFAULT '',
    after   bigint NOT NULL DEFAULT 0,
    bulk    boolean NOT NULL DEFAULT false,
    state   text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'stopped')),
    reason  text,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX event_subscription_one ON event_subscription (system, service, coalesce(purpose, ''));
CREATE TABLE event_inbox (
    number       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription text NOT NULL REFERENCES event_subscription,
    event_id     text NOT NULL,
    -- The whole event, sealed.
    sealed       bytea NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    UNIQUE (subscription, event_id)
);
CREATE INDEX event_inbox_read ON event_inbox (subscription, number);
-- Which rows exist as far as events told: digests of their keys.
CREATE TABLE event_row (
    subscription text NOT NULL REFERENCES event_subscription,
    row          bytea NOT NULL,
    PRIMARY KEY (subscription, row)
);
"""


def upgrade() -> None:
    """Create the tables of events."""
    op.execute(TABLES)
    grant(op, "event_feed", app="SELECT, INSERT, UPDATE")
    grant(op, "event", app="SELECT, INSERT")
    grant(op, "event_subscription", app="SELECT, INSERT, UPDATE")
    grant(op, "event_inbox", app="SELECT, INSERT")
    grant(op, "event_row", app="SELECT, INSERT, DELETE")
