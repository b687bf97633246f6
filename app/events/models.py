"""Tables of job events and of the latest state of each node."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Double, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class JobEventRow(Base):
    """One event of a job, as the JSON text that every reader gets.

    Partitioned by day, so that retention drops whole partitions. No partition can hold `(job_id,
    seq)` unique over all of them: `seq` is settled under the lock of the job's row.
    """

    __tablename__ = "job_events"
    __table_args__ = {"postgresql_partition_by": "RANGE (time)"}

    job_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    time: Mapped[datetime] = mapped_column(primary_key=True)
    is_end: Mapped[bool] = mapped_column(Boolean)
    body: Mapped[str] = mapped_column(Text)


class NodeStateRow(Base):
    """The latest state of a node in the present attempt; a new attempt begins without any.

    `error` is JSON like the event it comes from: a text column takes no NUL.
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
