"""Tables of the node catalogue."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, LargeBinary, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class CatalogueRow(Base):
    """The node types of the workers of a user that registered the same descriptions.

    `sha256` is the hash that the workers sent. The catalogue of a fleet worker counts for all
    users, every other one for its owner only: so equal catalogues are stored once for each.
    """

    __tablename__ = "node_catalogues"
    __table_args__ = (
        Index("uq_node_catalogues_hash", "user_id", "is_fleet", "sha256", unique=True),
        Index("ix_node_catalogues_fleet", "id", postgresql_where="is_fleet"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    is_fleet: Mapped[bool] = mapped_column(Boolean)
    sha256: Mapped[str] = mapped_column(String(64))
    last_seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class NodeTypeRow(Base):
    """A node type of a catalogue.

    `digest` is the hash of `body`: equal descriptions are one version. `words` is the text that is
    searched.
    """

    __tablename__ = "node_types"

    catalogue_id: Mapped[str] = mapped_column(
        ForeignKey("node_catalogues.id", ondelete="CASCADE"), primary_key=True
    )
    type: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    words: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
