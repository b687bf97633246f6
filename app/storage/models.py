"""Table of the storage journal."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class JournalRow(Base):
    """Journal entry of an object that is being put or is to be deleted, processed at `due_at`."""

    __tablename__ = "storage_journal"

    bucket: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    op: Mapped[str] = mapped_column(Text)
    due_at: Mapped[datetime] = mapped_column(index=True)
