"""Count the leases of a job that their workers never answered.

Revision: 0008
After: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, which needs no rewrite of the table."""
    op.add_column(
        "jobs",
        sa.Column("unanswered_leases", sa.SmallInteger(), server_default="0", nullable=False),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_column("jobs", "unanswered_leases")
