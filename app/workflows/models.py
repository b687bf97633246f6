"""Tables of workflows and their versions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base, Timestamps


class WorkflowRow(Timestamps, Base):
    """The current version of a workflow.

    Graphs are `json`, not `jsonb`, so that they are returned as they were sent.
    """

    __tablename__ = "workflows"
    __table_args__ = (
        Index("ix_workflows_user_id_id", "user_id", "id"),
        Index("ix_workflows_public", "id", postgresql_where="access = 'public'"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    access: Mapped[str] = mapped_column(String(16))
    graph: Mapped[dict[str, Any]] = mapped_column(JSON)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    thumbnail_url: Mapped[str | None] = mapped_column(Text)
    version: Mapped[int]


class WorkflowVersionRow(Base):
    """One version of a workflow; the current version has a row too."""

    __tablename__ = "workflow_versions"

    workflow_id: Mapped[str] = mapped_column(
        ForeignKey("workflows.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    graph: Mapped[dict[str, Any]] = mapped_column(JSON)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
