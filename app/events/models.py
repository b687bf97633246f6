"""Tables of jobs, leases, events and node states, shared by `jobs`, `queue` and `events`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Double,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class JobRow(Base):
    """A job: one run of a graph.

    Columns that every batch of events changes are in no index. `available_at` is the time from
    which a queued job can be claimed: `run_at`, or the end of a back-off. There are no foreign
    keys: a job outlives its workflow, and the jobs of deleted users are deleted by the cleanup.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_user_id_id", "user_id", "id"),
        Index(
            "ix_jobs_queue",
            "user_id",
            sql("priority desc"),
            "id",
            postgresql_where=sql("status = 'queued'"),
        ),
        Index("ix_jobs_running", "user_id", "id", postgresql_where=sql("status = 'running'")),
        Index(
            "ix_jobs_finished",
            "user_id",
            "finished_at",
            postgresql_where=sql("finished_at is not null"),
        ),
        Index(
            "ix_jobs_children",
            "parent_job_id",
            "id",
            postgresql_where=sql("parent_job_id is not null"),
        ),
        Index("ix_jobs_name", "user_id", "name", "id", postgresql_where=sql("name is not null")),
        Index("ix_jobs_reruns", "rerun_of", "id", postgresql_where=sql("rerun_of is not null")),
        {"postgresql_with": {"fillfactor": 70}},
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(32))
    workflow_id: Mapped[str | None] = mapped_column(String(32))
    workflow_version: Mapped[int | None]
    job_type: Mapped[str] = mapped_column(String(32))
    name: Mapped[str | None] = mapped_column(Text)
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", JSON, server_default="{}")
    status: Mapped[str] = mapped_column(String(16))
    params: Mapped[dict[str, Any]] = mapped_column(JSON)
    graph: Mapped[dict[str, Any]] = mapped_column(JSON)
    parent_job_id: Mapped[str | None] = mapped_column(String(32))
    rerun_of: Mapped[str | None] = mapped_column(String(32))
    depth: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    priority: Mapped[int] = mapped_column(SmallInteger)
    required_capabilities: Mapped[list[str]] = mapped_column(ARRAY(Text))
    node_types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    timeout_s: Mapped[float | None] = mapped_column(Double)
    max_attempts: Mapped[int] = mapped_column(SmallInteger)
    webhook: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    traceparent: Mapped[str | None] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    last_seq: Mapped[int] = mapped_column(Integer, server_default="0")
    dropped_events: Mapped[int] = mapped_column(Integer, server_default="0")
    unanswered_leases: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    worker_id: Mapped[str | None] = mapped_column(String(32))
    progress: Mapped[float] = mapped_column(Double, server_default="0")
    cost: Mapped[float | None] = mapped_column(Double)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    warnings: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    run_at: Mapped[datetime | None]
    available_at: Mapped[datetime]
    created_at: Mapped[datetime]
    cancel_requested_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    attempt_started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class LeaseRow(Base):
    """A lease: the right of one worker to run one attempt of a job.

    The row is kept for a day after the end, so that repeated requests of its worker are recognised.
    `confirmed_at` is the time of the first heartbeat or event; only a confirmed lease counts as an
    attempt.
    """

    __tablename__ = "job_leases"
    __table_args__ = (
        Index(
            "uq_job_leases_live", "job_id", unique=True, postgresql_where=sql("ended_at is null")
        ),
        Index(
            "ix_job_leases_worker_granted",
            "worker_id",
            "granted_at",
            postgresql_where=sql("ended_at is null and worker_id is not null"),
        ),
        {"postgresql_with": {"fillfactor": 70}},
    )

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    job_id: Mapped[str] = mapped_column(String(32))
    attempt: Mapped[int] = mapped_column(SmallInteger)
    worker_id: Mapped[str] = mapped_column(String(32))
    granted_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    last_client_seq: Mapped[int] = mapped_column(Integer, server_default="0")


class JobEventRow(Base):
    """An event of a job, as the JSON text that is sent to readers.

    Partitioned by day, so that retention drops whole partitions. A unique constraint on `(job_id,
    seq)` over all partitions is impossible; `seq` is assigned under the lock of the job's row.
    """

    __tablename__ = "job_events"
    __table_args__ = {"postgresql_partition_by": "RANGE (time)"}

    job_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    time: Mapped[datetime] = mapped_column(primary_key=True)
    is_end: Mapped[bool] = mapped_column(Boolean)
    body: Mapped[str] = mapped_column(Text)


class NodeStateRow(Base):
    """The latest state of a node in the current attempt; a new attempt deletes the states.

    `error` is JSON, as in the event: a text column cannot store NUL.
    """

    __tablename__ = "job_nodes"
    __table_args__ = {"postgresql_with": {"fillfactor": 70}}

    job_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    node_id: Mapped[str] = mapped_column(Text, primary_key=True)
    node_name: Mapped[str | None] = mapped_column(Text)
    node_type: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str | None] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(JSON(none_as_null=True))
    progress: Mapped[float | None] = mapped_column(Double)
    total: Mapped[float | None] = mapped_column(Double)
    result: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    seq: Mapped[int]
    attempt: Mapped[int]
    updated_at: Mapped[datetime]
