"""The table of assets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base, Timestamps


class AssetRow(Timestamps, Base):
    """A file or a folder of a user.

    The object's key is `<id>/<version>`; folders have no version. `put_until` is the time until
    which somebody holds a URL to put the object. A multipart upload has a `part_size`, and until it
    is complete an `upload_id`; then its SHA-256 is worked out by whoever comes at `sha256_due`, and
    `sha256` is only what was declared. Width, height and duration are found out by whoever comes at
    `facts_due`. `thumb_key` is the object of the usual thumbnail. `search_name` is the name as
    searches see it: PostgreSQL's own case folding depends on its locale.
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
    upload_id: Mapped[str | None] = mapped_column(Text)
    part_size: Mapped[int | None]
    sha256_due: Mapped[datetime | None]
    facts_due: Mapped[datetime | None]
    thumb_key: Mapped[str | None] = mapped_column(Text)

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
        Index(
            "ix_assets_sha256_due", "sha256_due", postgresql_where=text("sha256_due is not null")
        ),
        Index(
            "ix_assets_facts_due",
            "facts_due",
            postgresql_where=text("facts_due is not null and status = 'ready'"),
        ),
        Index("ix_assets_pending", "id", postgresql_where=text("status = 'pending'")),
    )


class ThumbnailRow(Base):
    """A thumbnail of one size, and its object; triggers remove both with the bytes they show."""

    __tablename__ = "asset_thumbnails"

    asset_id: Mapped[str] = mapped_column(
        ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True
    )
    size: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(Text, unique=True)
    bytes: Mapped[int]


class BytesRow(Base):
    """A share of how many bytes a user's assets take; the sum over his slots is the total.

    Triggers of the table of assets keep it: pending ones count with what they declared.
    """

    __tablename__ = "asset_bytes"
    __table_args__ = {"postgresql_with": {"fillfactor": 50}}

    user_id: Mapped[str] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    bytes: Mapped[int] = mapped_column(BigInteger)
