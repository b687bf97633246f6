"""Store the ETags of objects, and index open uploads and temporary bytes by user.

Revision: 0007
After: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


# The previous release replaces bytes without setting the ETag, which then is not known any more.
FORGET_ETAG = (
    """
create function forget_object_etag() returns trigger language plpgsql as $$
begin
  new.object_etag := null;
  return new;
end $$""",
    """
create trigger forget_outdated_object_etag before update of version on assets
for each row when (
  new.version is distinct from old.version and new.object_etag is not distinct from old.object_etag)
execute function forget_object_etag()""",
)


def upgrade() -> None:
    op.add_column("assets", sa.Column("object_etag", sa.Text(), nullable=True))
    for statement in FORGET_ETAG:
        op.execute(statement)
    op.create_index(
        "ix_assets_pending_of_user",
        "assets",
        ["user_id"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "ix_temp_files_bytes",
        "temp_files",
        ["user_id"],
        unique=False,
        postgresql_include=["size", "expires_at"],
    )
    op.drop_index(op.f("ix_temp_files_user_id"), table_name="temp_files")


def downgrade() -> None:
    op.create_index(op.f("ix_temp_files_user_id"), "temp_files", ["user_id"], unique=False)
    op.drop_index("ix_temp_files_bytes", table_name="temp_files")
    op.drop_index("ix_assets_pending_of_user", table_name="assets")
    op.execute("drop trigger forget_outdated_object_etag on assets")
    op.execute("drop function forget_object_etag")
    op.drop_column("assets", "object_etag")
