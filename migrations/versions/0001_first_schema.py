"""Create the first schema.

Revision: 0001
After: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# Triggers guarantee that every change of a row changes the total. Each user has several slots, so
# that parallel uploads do not wait for each other's commits. Inserts and deletes of thousands of
# rows in one statement fire statement triggers; sizes change row by row.
COUNT_BYTES = (
    """
create function count_asset_bytes() returns trigger language plpgsql as $$
begin
  insert into asset_bytes
  select user_id, pg_backend_pid() % 16, sum(case tg_op when 'DELETE' then -size else size end)
  from changed where size <> 0
  group by user_id order by user_id
  on conflict (user_id, slot) do update set bytes = asset_bytes.bytes + excluded.bytes;
  return null;
end $$""",
    """
create function recount_asset_bytes() returns trigger language plpgsql as $$
begin
  insert into asset_bytes values (new.user_id, pg_backend_pid() % 16, new.size - old.size)
  on conflict (user_id, slot) do update set bytes = asset_bytes.bytes + excluded.bytes;
  return null;
end $$""",
    """
create trigger count_inserted after insert on assets referencing new table as changed
for each statement execute function count_asset_bytes()""",
    """
create trigger count_deleted after delete on assets referencing old table as changed
for each statement execute function count_asset_bytes()""",
    """
create trigger count_resized after update of size on assets
for each row when (new.size <> old.size) execute function recount_asset_bytes()""",
)

# Removing or replacing an asset deletes its thumbnails in the same transaction; the journal entries
# make cleanup delete their objects afterwards.
RETIRE_THUMBNAILS = (
    """
create function retire_thumbnail() returns trigger language plpgsql as $$
begin
  insert into storage_journal (bucket, key, op, due_at)
  values ('assets', old.key, 'delete', now());
  return null;
end $$""",
    """
create trigger retire_deleted after delete on asset_thumbnails
for each row execute function retire_thumbnail()""",
    """
create function drop_thumbnails() returns trigger language plpgsql as $$
begin
  delete from asset_thumbnails where asset_id = new.id;
  return null;
end $$""",
    """
create trigger drop_outdated_thumbnails after update of version on assets
for each row when (new.version is distinct from old.version) execute function drop_thumbnails()""",
)


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request", sa.String(length=32), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("object_id", sa.String(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "route", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(
        op.f("ix_idempotency_keys_expires_at"), "idempotency_keys", ["expires_at"], unique=False
    )
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_end", sa.Boolean(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "seq", "time", name=op.f("pk_job_events")),
        postgresql_partition_by="RANGE (time)",
    )
    op.create_table(
        "job_leases",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("worker_id", sa.String(length=32), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_client_seq", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_job_leases")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_job_leases_worker",
        "job_leases",
        ["worker_id"],
        unique=False,
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_index(
        "uq_job_leases_live",
        "job_leases",
        ["job_id"],
        unique=True,
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_table(
        "job_nodes",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("node_name", sa.Text(), nullable=True),
        sa.Column("node_type", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=True),
        sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("progress", sa.Double(), nullable=True),
        sa.Column("total", sa.Double(), nullable=True),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "node_id", name=op.f("pk_job_nodes")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("workflow_id", sa.String(length=32), nullable=True),
        sa.Column("workflow_version", sa.Integer(), nullable=True),
        sa.Column("job_type", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("graph", sa.JSON(), nullable=False),
        sa.Column("parent_job_id", sa.String(length=32), nullable=True),
        sa.Column("depth", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("required_capabilities", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("node_types", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("timeout_s", sa.Double(), nullable=True),
        sa.Column("max_attempts", sa.SmallInteger(), nullable=False),
        sa.Column("webhook", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("attempt", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("last_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("worker_id", sa.String(length=32), nullable=True),
        sa.Column("progress", sa.Double(), server_default="0", nullable=False),
        sa.Column("cost", sa.Double(), nullable=True),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("available_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt_started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_jobs_children",
        "jobs",
        ["parent_job_id", "id"],
        unique=False,
        postgresql_where=sa.text("parent_job_id is not null"),
    )
    op.create_index(
        "ix_jobs_finished",
        "jobs",
        ["user_id", "finished_at"],
        unique=False,
        postgresql_where=sa.text("finished_at is not null"),
    )
    op.create_index(
        "ix_jobs_queue",
        "jobs",
        ["user_id", sa.literal_column("priority desc"), "id"],
        unique=False,
        postgresql_where=sa.text("status = 'queued'"),
    )
    op.create_index(
        "ix_jobs_running",
        "jobs",
        ["user_id", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index("ix_jobs_user_id_id", "jobs", ["user_id", "id"], unique=False)
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("receiver", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), server_default="pending", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempts_before", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_status_code", sa.SmallInteger(), nullable=True),
        sa.Column("last_body", sa.Text(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
            name=op.f("fk_webhook_deliveries_job_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
    )
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["user_id", "receiver", "next_attempt_at"],
        unique=False,
        postgresql_where=sa.text("next_attempt_at is not null"),
    )
    op.create_index(
        op.f("ix_webhook_deliveries_job_id"), "webhook_deliveries", ["job_id"], unique=False
    )
    op.create_table(
        "storage_journal",
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("bucket", "key", name=op.f("pk_storage_journal")),
    )
    op.create_index(op.f("ix_storage_journal_due_at"), "storage_journal", ["due_at"], unique=False)
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quota_bytes", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("is_fleet", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("capabilities", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("node_types", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("is_draining", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "last_seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index("ix_workers_user_id_id", "workers", ["user_id", "id"], unique=False)
    op.create_table(
        "ws_tickets",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_ws_tickets")),
    )
    op.create_table(
        "assets",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("parent_id", sa.String(length=32), nullable=True),
        sa.Column("workflow_id", sa.String(length=32), nullable=True),
        sa.Column("job_id", sa.String(length=32), nullable=True),
        sa.Column("node_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("search_name", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("duration", sa.Double(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("version", sa.String(length=32), nullable=True),
        sa.Column("put_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("upload_id", sa.Text(), nullable=True),
        sa.Column("part_size", sa.Integer(), nullable=True),
        sa.Column("sha256_due", sa.DateTime(timezone=True), nullable=True),
        sa.Column("facts_due", sa.DateTime(timezone=True), nullable=True),
        sa.Column("thumb_key", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["parent_id"], ["assets.id"], name=op.f("fk_assets_parent_id")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_assets_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
    )
    op.create_index(
        "ix_assets_job_id_id",
        "assets",
        ["job_id", "id"],
        unique=False,
        postgresql_where=sa.text("job_id is not null"),
    )
    op.create_index(op.f("ix_assets_parent_id_id"), "assets", ["parent_id", "id"], unique=False)
    op.create_index(
        "ix_assets_top_level",
        "assets",
        ["user_id", "id"],
        unique=False,
        postgresql_where=sa.text("parent_id is null"),
    )
    op.create_index(op.f("ix_assets_user_id_id"), "assets", ["user_id", "id"], unique=False)
    op.create_index(
        "ix_assets_workflow_id_id",
        "assets",
        ["workflow_id", "id"],
        unique=False,
        postgresql_where=sa.text("workflow_id is not null"),
    )
    op.create_index(
        "ix_assets_sha256_due",
        "assets",
        ["sha256_due"],
        unique=False,
        postgresql_where=sa.text("sha256_due is not null"),
    )
    op.create_index(
        "ix_assets_facts_due",
        "assets",
        ["facts_due"],
        unique=False,
        postgresql_where=sa.text("facts_due is not null and status = 'ready'"),
    )
    op.create_index(
        "ix_assets_pending",
        "assets",
        ["id"],
        unique=False,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "asset_bytes",
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("slot", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_asset_bytes_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "slot", name=op.f("pk_asset_bytes")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "asset_thumbnails",
        sa.Column("asset_id", sa.String(length=32), nullable=False),
        sa.Column("size", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"],
            ["assets.id"],
            name=op.f("fk_asset_thumbnails_asset_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("asset_id", "size", name=op.f("pk_asset_thumbnails")),
        sa.UniqueConstraint("key", name=op.f("uq_asset_thumbnails_key")),
    )
    for statement in RETIRE_THUMBNAILS:
        op.execute(statement)
    for statement in COUNT_BYTES:
        op.execute(statement)
    op.create_table(
        "temp_files",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("job_id", sa.String(length=32), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("is_stored", sa.Boolean(), nullable=False),
        sa.Column("put_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_temp_files_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_temp_files")),
    )
    op.create_index(op.f("ix_temp_files_expires_at"), "temp_files", ["expires_at"], unique=False)
    op.create_index(op.f("ix_temp_files_user_id"), "temp_files", ["user_id"], unique=False)
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_tokens_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_tokens_hash")),
    )
    op.create_index(op.f("ix_tokens_user_id"), "tokens", ["user_id"], unique=False)
    op.create_table(
        "workflows",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("access", sa.String(length=16), nullable=False),
        sa.Column("graph", sa.JSON(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("thumbnail_url", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_workflows_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workflows")),
    )
    op.create_index(
        "ix_workflows_public",
        "workflows",
        ["id"],
        unique=False,
        postgresql_where="access = 'public'",
    )
    op.create_index("ix_workflows_user_id_id", "workflows", ["user_id", "id"], unique=False)
    op.create_table(
        "workflow_versions",
        sa.Column("workflow_id", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("graph", sa.JSON(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["workflow_id"],
            ["workflows.id"],
            name=op.f("fk_workflow_versions_workflow_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workflow_id", "version", name=op.f("pk_workflow_versions")),
    )
    op.execute("create table job_events_default partition of job_events default")


def downgrade() -> None:
    op.drop_table("workflow_versions")
    op.drop_index("ix_workflows_user_id_id", table_name="workflows")
    op.drop_index(
        "ix_workflows_public", table_name="workflows", postgresql_where="access = 'public'"
    )
    op.drop_table("workflows")
    op.drop_index(op.f("ix_tokens_user_id"), table_name="tokens")
    op.drop_table("tokens")
    op.drop_index(op.f("ix_temp_files_user_id"), table_name="temp_files")
    op.drop_index(op.f("ix_temp_files_expires_at"), table_name="temp_files")
    op.drop_table("temp_files")
    op.drop_table("asset_thumbnails")
    op.drop_table("asset_bytes")
    op.drop_index(
        "ix_assets_sha256_due",
        table_name="assets",
        postgresql_where=sa.text("sha256_due is not null"),
    )
    op.drop_index(
        "ix_assets_facts_due",
        table_name="assets",
        postgresql_where=sa.text("facts_due is not null and status = 'ready'"),
    )
    op.drop_index(
        "ix_assets_pending", table_name="assets", postgresql_where=sa.text("status = 'pending'")
    )
    op.drop_index(
        "ix_assets_workflow_id_id",
        table_name="assets",
        postgresql_where=sa.text("workflow_id is not null"),
    )
    op.drop_index(op.f("ix_assets_user_id_id"), table_name="assets")
    op.drop_index(
        "ix_assets_top_level", table_name="assets", postgresql_where=sa.text("parent_id is null")
    )
    op.drop_index(op.f("ix_assets_parent_id_id"), table_name="assets")
    op.drop_index(
        "ix_assets_job_id_id", table_name="assets", postgresql_where=sa.text("job_id is not null")
    )
    op.drop_table("assets")
    op.execute("drop function count_asset_bytes, recount_asset_bytes")
    op.execute("drop function retire_thumbnail, drop_thumbnails")
    op.drop_table("ws_tickets")
    op.drop_index("ix_workers_user_id_id", table_name="workers")
    op.drop_table("workers")
    op.drop_table("users")
    op.drop_index(op.f("ix_storage_journal_due_at"), table_name="storage_journal")
    op.drop_table("storage_journal")
    op.drop_index(op.f("ix_webhook_deliveries_job_id"), table_name="webhook_deliveries")
    op.drop_index(
        "ix_webhook_deliveries_due",
        table_name="webhook_deliveries",
        postgresql_where=sa.text("next_attempt_at is not null"),
    )
    op.drop_table("webhook_deliveries")
    op.drop_index("ix_jobs_user_id_id", table_name="jobs")
    op.drop_index(
        "ix_jobs_running", table_name="jobs", postgresql_where=sa.text("status = 'running'")
    )
    op.drop_index("ix_jobs_queue", table_name="jobs", postgresql_where=sa.text("status = 'queued'"))
    op.drop_index(
        "ix_jobs_finished", table_name="jobs", postgresql_where=sa.text("finished_at is not null")
    )
    op.drop_index(
        "ix_jobs_children", table_name="jobs", postgresql_where=sa.text("parent_job_id is not null")
    )
    op.drop_table("jobs")
    op.drop_table("job_nodes")
    op.drop_index(
        "uq_job_leases_live", table_name="job_leases", postgresql_where=sa.text("ended_at is null")
    )
    op.drop_index(
        "ix_job_leases_worker",
        table_name="job_leases",
        postgresql_where=sa.text("ended_at is null"),
    )
    op.drop_table("job_leases")
    op.drop_table("job_events")
    op.drop_index(op.f("ix_idempotency_keys_expires_at"), table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
