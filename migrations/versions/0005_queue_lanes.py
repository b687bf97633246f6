"""Create the lanes of the queue, which a trigger on `jobs` maintains.

Revision: 0005
After: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# A trigger, so that also the jobs of the previous release and of SQL by hand have a lane. It only
# locks and inserts rows, never updates one, so that transactions with several jobs cannot deadlock.
# The id of a usual new job is higher than any floor that is being stored meanwhile: its lane only
# has to stay. For a lower id, of a requeued job or from a slow clock, the floor has to stay too.
QUEUE_JOB = """
create function queue_job() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' and new.id >= lpad(
    to_hex((extract(epoch from clock_timestamp() - interval '1 s') * 1000)::bigint), 12, '0'
  ) then
    perform from queue_lanes
    where user_id = new.user_id and priority = new.priority and floor <= new.id
    limit 1 for key share;
  else
    perform from queue_lanes
    where user_id = new.user_id and priority = new.priority and floor <= new.id
    limit 1 for share;
  end if;
  if not found then
    insert into queue_lanes (user_id, priority, floor)
    values (new.user_id, new.priority, new.id);
  end if;
  return null;
end $$"""
TRIGGERS = (
    """
create trigger queue_inserted after insert on jobs
for each row when (new.status = 'queued') execute function queue_job()""",
    """
create trigger queue_requeued after update of status on jobs
for each row when (new.status = 'queued' and old.status <> 'queued')
execute function queue_job()""",
)
FILL = """
insert into queue_lanes (user_id, priority, floor)
select user_id, priority, min(id) from jobs where status = 'queued' group by user_id, priority"""


def upgrade() -> None:
    op.create_table(
        "queue_lanes",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("floor", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue_lanes")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_index(op.f("ix_queue_lanes_user_id_priority"), "queue_lanes", ["user_id", "priority"])
    op.execute(QUEUE_JOB)
    for trigger in TRIGGERS:
        op.execute(trigger)
    op.execute(FILL)
    op.create_index(
        "ix_job_leases_worker_granted",
        "job_leases",
        ["worker_id", "granted_at"],
        # With its first column, so that no statement without it reads the whole index.
        postgresql_where=sa.text("ended_at is null and worker_id is not null"),
    )
    op.drop_index("ix_job_leases_worker", table_name="job_leases")


def downgrade() -> None:
    op.create_index(
        "ix_job_leases_worker",
        "job_leases",
        ["worker_id"],
        postgresql_where=sa.text("ended_at is null"),
    )
    op.drop_index("ix_job_leases_worker_granted", table_name="job_leases")
    op.execute("drop trigger queue_requeued on jobs")
    op.execute("drop trigger queue_inserted on jobs")
    op.execute("drop function queue_job")
    op.drop_table("queue_lanes")
