"""Tables of assets, thumbnails and byte counts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base, Timestamps


class AssetRow(Timestamps, Base):
    """File or folder of a user. The key of its object is `<id>/<version>`.

    Attributes:
        search_name: The name in normalized form, for searches. PostgreSQL's case folding depends on
            its locale.
        sha256: The SHA-256; only declared, not verified, while `sha256_due` is set.
        version: The version of the bytes; None for folders.
        put_until: The time until which a presigned URL to put the object is valid.
        upload_id: The id of the multipart upload in storage, until it is complete.
        part_size: The size of the parts of a multipart upload.
        sha256_due: The time at which a replica verifies the SHA-256 of a multipart upload.
        facts_due: The time at which a replica extracts width, height and duration.
        thumb_key: The key of the thumbnail in the default size.
        object_etag: The ETag of the object in storage; None for objects of earlier releases.
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
    object_etag: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        # For the checks of the foreign key, and for the children of a folder.
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
        Index("ix_assets_pending_of_user", "user_id", postgresql_where=text("status = 'pending'")),
    )


class ThumbnailRow(Base):
    """Thumbnail of an asset in one size; triggers remove it when the bytes are replaced."""

    __tablename__ = "asset_thumbnails"

    asset_id: Mapped[str] = mapped_column(
        ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True
    )
    size: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(Text, unique=True)
    bytes: Mapped[int]


class BytesRow(Base):
    """Counter of the bytes of a user's assets; the sum over the user's slots is the total.

    Triggers on the table of assets update it. Pending assets count with their declared size.
    """

    __tablename__ = "asset_bytes"
    __table_args__ = {"postgresql_with": {"fillfactor": 50}}

    user_id: Mapped[str] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    bytes: Mapped[int] = mapped_column(BigInteger)
