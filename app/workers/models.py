"""Table of workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, JSON, Boolean, Index, Integer, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class WorkerRow(Base):
    """A registered worker; only the token `token_id` may act for it.

    `last_seen_at` is in no index, so that the update of each heartbeat stays within its page.
    """

    __tablename__ = "workers"
    __table_args__ = (
        Index("ix_workers_user_id_id", "user_id", "id"),
        {"postgresql_with": {"fillfactor": 50}},
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(32))
    token_id: Mapped[str] = mapped_column(Text)
    is_fleet: Mapped[bool] = mapped_column(Boolean)
    name: Mapped[str] = mapped_column(Text)
    capabilities: Mapped[list[str]] = mapped_column(ARRAY(Text))
    node_types: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    slots: Mapped[int] = mapped_column(Integer)
    metadata_: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    catalogue: Mapped[str | None] = mapped_column(String(64))
    is_draining: Mapped[bool] = mapped_column(Boolean, server_default="false")
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
