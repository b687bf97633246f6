"""Record the purpose of configured tokens, and the hashes of those that were revoked.

Revision: 0003
After: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "revoked_tokens",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column(
            "revoked_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_revoked_tokens")),
    )
    op.add_column("tokens", sa.Column("purpose", sa.Text(), nullable=True))
    # Tokens that earlier releases created at their start: the bootstrap values, and one for each
    # start of a local worker, whose secret only the process of that start knew.
    op.execute(
        """
        update tokens set purpose = 'bootstrap'
        where name = 'first token' and scopes @> '{admin,fleet,user,worker}'
            and user_id = (select id from users order by id limit 1)"""
    )
    op.execute(
        """
        update tokens set expires_at = now() + interval '1 day'
        where name = 'local worker' and scopes = '{fleet,worker}' and expires_at is null"""
    )


def downgrade() -> None:
    op.drop_column("tokens", "purpose")
    op.drop_table("revoked_tokens")
