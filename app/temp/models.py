"""Table of temporary files."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class TempRow(Base):
    """Temporary file. Its id, `<hex>.<ext>`, is also the key of its object.

    Attributes:
        is_stored: False until the object of a presigned upload has been found in storage.
        put_until: The expiry of the presigned URL to put the object.
    """

    __tablename__ = "temp_files"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    job_id: Mapped[str | None] = mapped_column(String(32))
    content_type: Mapped[str] = mapped_column(Text)
    size: Mapped[int | None] = mapped_column(BigInteger)
    is_stored: Mapped[bool]
    put_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)

    __table_args__ = (
        # The bytes of a user are added up from the index alone.
        Index("ix_temp_files_bytes", "user_id", postgresql_include=["size", "expires_at"]),
    )
