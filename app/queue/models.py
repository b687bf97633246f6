"""Table of the lanes of the queue."""

from __future__ import annotations

from sqlalchemy import BigInteger, Identity, Index, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class LaneRow(Base):
    """A lane: a user's queued jobs of one priority, none of which has an id below `floor`.

    A trigger on `jobs` inserts the lane of a job that has none. Transactions do not see each
    other's new lanes, so a lane may have several rows; then the lowest floor holds.
    """

    __tablename__ = "queue_lanes"
    __table_args__ = (
        Index("ix_queue_lanes_user_id_priority", "user_id", "priority"),
        {"postgresql_with": {"fillfactor": 50}},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(32))
    priority: Mapped[int] = mapped_column(SmallInteger)
    floor: Mapped[str] = mapped_column(String(32))
