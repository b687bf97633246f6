"""Table of WebSocket tickets."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ARRAY, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class TicketRow(Base):
    """A ticket for browsers, which cannot send headers; it is deleted when it is used."""

    __tablename__ = "ws_tickets"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    user_id: Mapped[str] = mapped_column(String(32))
    token_id: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    expires_at: Mapped[datetime]
