"""Count the events of a job that exceed its limit.

Revision: 0004
After: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, which needs no rewrite of the table."""
    op.add_column(
        "jobs", sa.Column("dropped_events", sa.Integer(), server_default="0", nullable=False)
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_column("jobs", "dropped_events")
