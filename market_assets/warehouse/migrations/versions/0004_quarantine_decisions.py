"""What a decision about a quarantined row needs: the row as it could be stored, its repair, what was stored of it.

Revision: 0004
"""

from alembic import op

from quality.schema import decision_statements

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Extend the quarantine; rows that are in it already have no candidate and can only be rejected or replayed."""
    for statement in decision_statements():
        op.execute(statement)
