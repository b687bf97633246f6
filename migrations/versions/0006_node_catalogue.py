"""Create the node catalogue, and the columns of jobs and workers that belong to it.

Revision: 0006
After: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "node_catalogues",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("is_fleet", sa.Boolean(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column(
            "last_seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_node_catalogues_user_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_catalogues")),
    )
    op.create_index(
        "uq_node_catalogues_hash",
        "node_catalogues",
        ["user_id", "is_fleet", "sha256"],
        unique=True,
    )
    op.create_index(
        "ix_node_catalogues_fleet",
        "node_catalogues",
        ["id"],
        postgresql_where=sa.text("is_fleet"),
    )
    op.create_table(
        "node_types",
        sa.Column("catalogue_id", sa.String(length=32), nullable=False),
        sa.Column("type", sa.Text(collation="C"), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["catalogue_id"],
            ["node_catalogues.id"],
            name=op.f("fk_node_types_catalogue_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("catalogue_id", "type", name=op.f("pk_node_types")),
    )
    op.add_column("workers", sa.Column("catalogue", sa.String(length=64), nullable=True))
    op.add_column("jobs", sa.Column("warnings", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "warnings")
    op.drop_column("workers", "catalogue")
    op.drop_table("node_types")
    op.drop_table("node_catalogues")
