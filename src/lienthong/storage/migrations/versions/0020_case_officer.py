"""One more role: who handles persons' dossiers and may ask the national databases about them.

Revision ID: 0020_case_officer
Revises: 0019_citizens
"""

from alembic import op

revision = "0020_case_officer"
down_revision = "0019_citizens"

ROLES = """
ALTER TABLE role_held DROP CONSTRAINT role_held_role_check;
ALTER TABLE role_held ADD CONSTRAINT role_held_role_check CHECK (
    role IN ('coordinator', 'operator', 'data-officer', 'case-officer', 'integrator', 'auditor', 'citizen')
);
"""


def upgrade() -> None:
    """Widen the list of roles."""
    op.execute(ROLES)
