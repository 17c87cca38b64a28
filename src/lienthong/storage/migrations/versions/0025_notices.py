"""Notices of what happens to cases: whom to tell by which way, and what waits to be told.

Revision ID: 0025_notices
Revises: 0024_copies
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0025_notices"
down_revision = "0024_copies"

TABLES = """
CREATE TABLE notice_wish (
    person         text PRIMARY KEY REFERENCES account,
    about          text NOT NULL DEFAULT 'all' CHECK (about IN ('all', 'clocks')),
    mail           text NOT NULL DEFAULT '',
    by_mail        boolean NOT NULL DEFAULT false,
    -- Whether the code that was sent to the address came back.
    mail_confirmed boolean NOT NULL DEFAULT false,
    webhook        text NOT NULL DEFAULT '',
    by_webhook     boolean NOT NULL DEFAULT false,
    language       text NOT NULL DEFAULT 'vi' CHECK (language IN ('vi', 'en'))
);

CREATE TABLE notice (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- What it tells of; one thing is told to one person by one way once.
    key     text NOT NULL,
    person  text NOT NULL REFERENCES account,
    "case"  text REFERENCES case_file,
    act     text NOT NULL,
    way     text NOT NULL CHECK (way IN ('page', 'mail', 'webhook')),
    state   text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'dropped', 'given-up')),
    at      timestamptz NOT NULL,
    tries   integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    done_at timestamptz,
    -- Why the last try failed: a word without addresses.
    word    text NOT NULL DEFAULT '',
    UNIQUE (key, person, way)
);
CREATE INDEX notice_due ON notice (next_at, id) WHERE state = 'waiting' AND way <> 'page';
CREATE INDEX notice_unseen ON notice (person, "case") WHERE state = 'waiting' AND way = 'page';
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(TABLES)
    grant(op, "notice_wish", app="SELECT, INSERT, UPDATE")
    grant(op, "notice", app="SELECT, INSERT, UPDATE")
