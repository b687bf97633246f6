"""Table of idempotency keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class IdempotencyKeyRow(Base):
    """An idempotency key of one user on one route, and the id of the created object.

    `request` identifies the request that holds the key, `fingerprint` its body. `object_id` is null
    while that request is running; such a key expires soon after the request stops renewing it.
    """

    __tablename__ = "idempotency_keys"

    user_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request: Mapped[str] = mapped_column(String(32))
    fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary)
    object_id: Mapped[str | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)
