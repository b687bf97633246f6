"""Table of webhook deliveries."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, SmallInteger, String, Text
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class DeliveryRow(Base):
    """A delivery of a message to one URL, inserted in the transaction that ends the job.

    `next_attempt_at` is null when the delivery has succeeded or failed. During an attempt it is the
    end of the replica's lease, so that the attempt is repeated if the replica crashes. `attempts`
    counts all attempts; an outcome is stored only if its attempt is still the last one.
    `attempts_before` counts those before the last redelivery. `secret` is encrypted.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index(
            "ix_webhook_deliveries_due",
            "user_id",
            "receiver",
            "next_attempt_at",
            postgresql_where=sql("next_attempt_at is not null"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(32))
    job_id: Mapped[str] = mapped_column(
        String(32), ForeignKey("jobs.id", ondelete="CASCADE"), index=True
    )
    type: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    receiver: Mapped[str] = mapped_column(Text)
    secret: Mapped[str | None] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16), server_default="pending")
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    attempts_before: Mapped[int] = mapped_column(Integer, server_default="0")
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime | None]
    last_attempt_at: Mapped[datetime | None]
    last_status_code: Mapped[int | None] = mapped_column(SmallInteger)
    last_body: Mapped[str | None] = mapped_column(Text)
    last_error: Mapped[str | None] = mapped_column(Text)
