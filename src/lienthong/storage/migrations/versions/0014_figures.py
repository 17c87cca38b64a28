"""Figures: the views behind the numbers that the portal shows, readable by anybody who can read SQL.

Revision ID: 0014_figures
Revises: 0013_identity
"""

from alembic import op

from lienthong.storage.migrations.grants import grant

revision = "0014_figures"
down_revision = "0013_identity"

VIEWS = """
-- Uses on record here, a second record of one that was opened first left out.
CREATE VIEW stat_record AS
SELECT side, way, outcome, count(*) AS records
  FROM entry
 WHERE reason IS NULL OR reason NOT LIKE 'closed%'
 GROUP BY side, way, outcome;

-- What may be known of the services published here.
CREATE VIEW stat_service AS
SELECT description ->> 'kind' AS kind, description ->> 'sharing' AS sharing, count(*) AS services
  FROM service
 WHERE enabled AND description ->> 'sharing' <> 'private'
 GROUP BY 1, 2;

-- Agreements of this node's members in force now.
CREATE VIEW stat_agreement AS
SELECT mode, count(*) AS agreements
  FROM agreement
 WHERE starts <= now() AND (ends IS NULL OR ends > now()) AND (ended_at IS NULL OR ended_at > now())
 GROUP BY mode;

-- Open data: counted by hour, never by person.
CREATE VIEW stat_open_use AS
SELECT service, way, sum(uses)::bigint AS uses, sum(bytes)::bigint AS bytes
  FROM open_use
 GROUP BY service, way;

-- On the national node: who is in the directory, and through how many nodes.
CREATE VIEW stat_member AS
SELECT kind, state, count(*) AS members
  FROM member
 GROUP BY kind, state;

CREATE VIEW stat_node AS
SELECT platform, security_level, count(*) AS nodes
  FROM node
 GROUP BY platform, security_level;

-- The newest records by hour, and between which members: the pictures.
CREATE VIEW stat_hour AS
SELECT date_trunc('hour', at) AS hour, way, outcome, count(*) AS records
  FROM entry
 WHERE idx >= (SELECT coalesce(max(idx), 0) - 200000 FROM entry) AND (reason IS NULL OR reason NOT LIKE 'closed%')
 GROUP BY 1, 2, 3;

CREATE VIEW stat_pair AS
SELECT array_to_string((string_to_array(consumer, '/'))[1:3], '/') AS consumer, provider, count(*) AS records
  FROM entry
 WHERE idx >= (SELECT coalesce(max(idx), 0) - 200000 FROM entry) AND (reason IS NULL OR reason NOT LIKE 'closed%')
 GROUP BY 1, 2;
"""


def upgrade() -> None:
    """Create the views."""
    op.execute(VIEWS)
    for name in ("record", "service", "agreement", "open_use", "member", "node", "hour", "pair"):
        grant(op, f"stat_{name}", app="SELECT")
