"""The table of assets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, Timestamps


class AssetRow(Timestamps, Base):
    """A file or a folder of a user.

    The object's key is `<id>/<version>`; folders have no version. `put_until` is the time until
    which somebody holds a URL to put the object. `search_name` is the name as searches see it:
    PostgreSQL's own case folding depends on its locale.
    """

    __tablename__ = "assets"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("assets.id"))
    workflow_id: Mapped[str | None] = mapped_column(String(32))
    job_id: Mapped[str | None] = mapped_column(String(32))
    node_id: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    search_name: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(Text)
    meta: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    duration: Mapped[float | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    version: Mapped[str | None] = mapped_column(String(32))
    put_until: Mapped[datetime | None]

    __table_args__ = (
        # The foreign key's own lookups, and the children of a folder.
        Index(None, "parent_id", "id"),
        Index("ix_assets_top_level", "user_id", "id", postgresql_where=text("parent_id is null")),
        Index(None, "user_id", "id"),
        Index(
            "ix_assets_workflow_id_id",
            "workflow_id",
            "id",
            postgresql_where=text("workflow_id is not null"),
        ),
        Index("ix_assets_job_id_id", "job_id", "id", postgresql_where=text("job_id is not null")),
    )
