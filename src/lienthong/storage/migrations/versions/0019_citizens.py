"""Visits of pages without visitors, and what citizens see of themselves.

Revision ID: 0019_citizens
Revises: 0018_cases
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0019_citizens"
down_revision = "0018_cases"

TABLES = """
-- How often a page was shown on a day in Viet Nam: the pattern of its address, never the address, and nobody.
CREATE TABLE visit (
    day   date   NOT NULL,
    page  text   NOT NULL,
    views bigint NOT NULL,
    PRIMARY KEY (day, page)
);

-- The personal number of a citizen as the identity provider told it: a keyed hash, from which nobody reads it back.
CREATE TABLE person_number (
    person text  PRIMARY KEY REFERENCES account,
    keyed  bytea NOT NULL
);

-- Which records are about whom, under the same keyed hash; made from the sealed details, and made anew at will.
CREATE TABLE subject_use (
    keyed bytea  NOT NULL,
    idx   bigint NOT NULL,
    PRIMARY KEY (keyed, idx)
);
CREATE TABLE subject_looked (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    size bigint NOT NULL
);
INSERT INTO subject_looked (size) VALUES (0);
"""

VISITS = """
-- Only days that are over, and no number under ten: pages seen less often are counted together.
CREATE VIEW stat_visit AS
SELECT day, named.page, sum(views)::bigint AS views
  FROM (SELECT day, views, CASE WHEN views >= 10 THEN page ELSE '' END AS page
          FROM visit WHERE day < (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date) named
 GROUP BY day, named.page
HAVING sum(views) >= 10;
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(TABLES)
    op.execute(VISITS)
    grant(op, "visit", app="SELECT, INSERT, UPDATE, DELETE")
    grant(op, "stat_visit", app="SELECT")
    grant(op, "person_number", app="SELECT, INSERT, UPDATE, DELETE")
    grant(op, "subject_use", app="SELECT, INSERT, DELETE")
    grant(op, "subject_looked", app="SELECT, UPDATE")
