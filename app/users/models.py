"""Tables of users and tokens."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, ForeignKey, LargeBinary, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database.tables import Base


class UserRow(Base):
    """A user.

    With `deleted_at` set, the user's tokens are invalid; cleanup deletes the data later.
    `quota_bytes` limits the size of the user's assets; null: the default of the settings.
    """

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]
    quota_bytes: Mapped[int | None] = mapped_column(BigInteger)


class TokenRow(Base):
    """A token of a user: its SHA-256 and its scopes.

    `purpose` is set for tokens of the configuration: `bootstrap` or `worker`.
    """

    __tablename__ = "tokens"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(Text)
    hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    purpose: Mapped[str | None] = mapped_column(Text)


class RevokedTokenRow(Base):
    """The hash of a configured token that was revoked, so that no later start restores it."""

    __tablename__ = "revoked_tokens"

    hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    revoked_at: Mapped[datetime] = mapped_column(server_default=func.now())
