"""Add names, metadata and reruns of jobs.

Revision: 0002
After: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, which need no rewrite of the table, and indexes that are empty at first."""
    op.add_column("jobs", sa.Column("name", sa.Text()))
    op.add_column("jobs", sa.Column("metadata", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("jobs", sa.Column("rerun_of", sa.String(32)))
    op.create_index(
        "ix_jobs_name",
        "jobs",
        ["user_id", "name", "id"],
        postgresql_where=sa.text("name is not null"),
    )
    op.create_index(
        "ix_jobs_reruns",
        "jobs",
        ["rerun_of", "id"],
        postgresql_where=sa.text("rerun_of is not null"),
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_index("ix_jobs_reruns", "jobs")
    op.drop_index("ix_jobs_name", "jobs")
    op.drop_column("jobs", "rerun_of")
    op.drop_column("jobs", "metadata")
    op.drop_column("jobs", "name")
