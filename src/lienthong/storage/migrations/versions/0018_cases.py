"""Cases: what has an owner and a legal clock, with a history that only grows.

Revision ID: 0018_cases
Revises: 0017_helper_gaps
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0018_cases"
down_revision = "0017_helper_gaps"

TABLES = """
CREATE TABLE case_file (
    id            text PRIMARY KEY,
    kind          text NOT NULL,
    matter        text NOT NULL DEFAULT '',
    owner         text NOT NULL,
    -- A person's random id; NULL: by command or without an account.
    opener        text,
    opener_member text,
    title         text NOT NULL CHECK (title <> ''),
    text          text NOT NULL,
    about         text,
    facts         jsonb NOT NULL DEFAULT '{}',
    state         text NOT NULL,
    version       integer NOT NULL DEFAULT 1,
    opened_at     timestamptz NOT NULL,
    opened_on     date NOT NULL,
    answer_due    timestamptz,
    due           timestamptz,
    answered_at   timestamptz,
    ended_at      timestamptz,
    extended      boolean NOT NULL DEFAULT false,
    paused_at     timestamptz,
    answer_left   integer,
    "left"        integer,
    -- One-time key of who opened it: sent twice, opened once.
    once          text UNIQUE
);
CREATE INDEX case_file_owner ON case_file (owner, opened_at DESC);
CREATE INDEX case_file_opener ON case_file (opener, opened_at DESC);

CREATE TABLE case_event (
    "case"    text NOT NULL REFERENCES case_file,
    number    integer NOT NULL,
    at        timestamptz NOT NULL,
    person    text,
    member    text,
    act       text NOT NULL,
    state     text NOT NULL,
    text      text NOT NULL DEFAULT '',
    reason    text NOT NULL DEFAULT '',
    provision text NOT NULL DEFAULT '',
    PRIMARY KEY ("case", number),
    -- A refusal names its reason and the provision that restricts sharing (R-36).
    CONSTRAINT refusal_is_founded CHECK (
        act <> 'moved' OR state NOT IN ('refused', 'upheld') OR (reason <> '' AND provision <> '')
    )
);
"""

COUNTS = """
CREATE VIEW stat_case AS
SELECT kind, owner,
       count(*) FILTER (WHERE ended_at IS NULL) AS running,
       count(*) FILTER (
           WHERE ended_at IS NULL AND paused_at IS NULL
             AND (due <= now() OR (answer_due <= now() AND answered_at IS NULL))
       ) AS overdue,
       count(*) FILTER (WHERE ended_at IS NOT NULL) AS ended
  FROM case_file
 GROUP BY kind, owner;
"""


def upgrade() -> None:
    """Make the tables; nobody changes or removes what happened."""
    op.execute(TABLES)
    op.execute(COUNTS)
    grant(op, "case_file", app="SELECT, INSERT, UPDATE")
    grant(op, "case_event", app="SELECT, INSERT")
    grant(op, "stat_case", app="SELECT")
