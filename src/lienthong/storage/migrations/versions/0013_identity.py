"""Persons, roles, credentials, sessions, tokens; the audit of administrative acts; changes that need two persons.

Revision ID: 0013_identity
Revises: 0012_forms
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0013_identity"
down_revision = "0012_forms"

PERSONS = """
CREATE TABLE account (
    id        text PRIMARY KEY,
    -- NULL: a citizen.
    member    text,
    name      text NOT NULL,
    sort_key  bytea NOT NULL,
    login     text UNIQUE,
    state     text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'closed')),
    synthetic boolean NOT NULL DEFAULT false,
    made_at   timestamptz NOT NULL
);
CREATE INDEX account_member ON account (member);

CREATE TABLE role_held (
    person   text NOT NULL REFERENCES account,
    role     text NOT NULL
             CHECK (role IN ('coordinator', 'operator', 'data-officer', 'integrator', 'auditor', 'citizen')),
    given_at timestamptz NOT NULL,
    PRIMARY KEY (person, role)
);

-- Who the person is at an identity provider.
CREATE TABLE person_at_provider (
    issuer  text NOT NULL,
    subject text NOT NULL,
    person  text NOT NULL REFERENCES account,
    PRIMARY KEY (issuer, subject)
);

CREATE TABLE password (
    person     text PRIMARY KEY REFERENCES account,
    -- Argon2id in its usual text form, with salt and parameters.
    encoded    text NOT NULL,
    changed_at timestamptz NOT NULL
);

CREATE TABLE passkey (
    id         bytea PRIMARY KEY,
    person     text NOT NULL REFERENCES account,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    label      text NOT NULL,
    made_at    timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX passkey_person ON passkey (person);

-- One-time links by which a person sets the first or a new password.
CREATE TABLE first_link (
    hash    bytea PRIMARY KEY,
    person  text NOT NULL REFERENCES account,
    ends_at timestamptz NOT NULL
);
"""

SESSIONS = """
CREATE TABLE session (
    -- SHA-256 of the secret in the cookie.
    hash      bytea PRIMARY KEY,
    id        text NOT NULL UNIQUE,
    person    text NOT NULL REFERENCES account,
    assurance smallint NOT NULL,
    opened_at timestamptz NOT NULL,
    seen_at   timestamptz NOT NULL,
    ends_at   timestamptz NOT NULL,
    -- The provider's session, for its logout.
    issuer    text,
    sid       text
);
CREATE INDEX session_person ON session (person);
CREATE INDEX session_sid ON session (issuer, sid);

-- What a sign-in under way must remember (state, nonce, challenge, what was typed), sealed.
CREATE TABLE sign_in_attempt (
    hash    bytea PRIMARY KEY,
    sealed  bytea NOT NULL,
    ends_at timestamptz NOT NULL
);

-- Failed sign-ins, under keyed hashes of account and address.
CREATE TABLE sign_in_failure (
    key bytea NOT NULL,
    at  timestamptz NOT NULL
);
CREATE INDEX sign_in_failure_key ON sign_in_failure (key, at);
CREATE INDEX sign_in_failure_age ON sign_in_failure (at);

CREATE TABLE api_token (
    id           text PRIMARY KEY,
    hash         bytea NOT NULL UNIQUE,
    person       text NOT NULL REFERENCES account,
    label        text NOT NULL,
    scopes       text[] NOT NULL,
    made_at      timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    used_at      timestamptz,
    withdrawn_at timestamptz
);
CREATE INDEX api_token_person ON api_token (person);
"""

TRUST = """
-- Append-only: no role of the program may change or delete a line.
CREATE TABLE admin_act (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL,
    -- NULL: somebody with the rights of the machine, by command.
    person text,
    -- The member whose affair it is; NULL: the node's.
    member text,
    act    text NOT NULL,
    object text NOT NULL,
    facts  jsonb NOT NULL
);
CREATE INDEX admin_act_member ON admin_act (member, number);

CREATE TABLE proposal (
    id          text PRIMARY KEY,
    kind        text NOT NULL,
    member      text NOT NULL,
    wanted      jsonb NOT NULL,
    reason      text NOT NULL,
    -- NULL: by command.
    proposed_by text REFERENCES account,
    proposed_at timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'refused', 'withdrawn', 'expired')),
    decided_by  text REFERENCES account,
    decided_at  timestamptz,
    answer      text NOT NULL DEFAULT '',
    -- Whatever a program may forget to ask: nobody decides alone.
    CHECK (state <> 'approved' OR (decided_by IS NOT NULL AND decided_by IS DISTINCT FROM proposed_by))
);
CREATE INDEX proposal_member ON proposal (member, state);
"""


def upgrade() -> None:
    """Create the tables; nobody changes or deletes what was put down in the audit."""
    for tables in (PERSONS, SESSIONS, TRUST):
        op.execute(tables)
    grant(op, "account", app="SELECT, INSERT, UPDATE")
    grant(op, "role_held", app="SELECT, INSERT, DELETE")
    grant(op, "person_at_provider", app="SELECT, INSERT")
    for relation in ("password", "passkey", "first_link", "session", "sign_in_attempt", "sign_in_failure"):
        grant(op, relation)
    grant(op, "api_token", app="SELECT, INSERT, UPDATE")
    grant(op, "admin_act", app="SELECT, INSERT")
    grant(op, "proposal", app="SELECT, INSERT, UPDATE")
