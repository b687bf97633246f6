"""Statements on users and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import DateTime, Double, bindparam, cast, delete, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.engine import Hot
from app.users.models import TokenRow, UserRow

_VALID = or_(TokenRow.expires_at.is_(None), TokenRow.expires_at > func.now())
_ACTIVE = UserRow.deleted_at.is_(None)

BY_HASH = Hot(
    select(
        TokenRow.id,
        TokenRow.user_id,
        TokenRow.scopes,
        UserRow.quota_bytes,
        cast(func.extract("epoch", TokenRow.expires_at - func.now()), Double).label("lasts_s"),
    )
    .join(UserRow, UserRow.id == TokenRow.user_id)
    .where(TokenRow.hash == bindparam("hash"), _VALID, _ACTIVE)
)

VALID_AMONG = Hot(
    select(TokenRow.id)
    .join(UserRow, UserRow.id == TokenRow.user_id)
    .where(TokenRow.id == func.any(bindparam("ids", type_=TokenRow.scopes.type)), _VALID, _ACTIVE)
)


async def is_past(session: AsyncSession, moment: datetime) -> bool:
    """Whether a moment has come, by PostgreSQL's clock."""
    has_come = literal(moment, DateTime(timezone=True)) <= func.now()
    return bool(await session.scalar(select(has_come)))


async def user(session: AsyncSession, user_id: str) -> UserRow | None:
    """The user of this id who has not been deleted."""
    return (
        await session.scalars(select(UserRow).where(UserRow.id == user_id, _ACTIVE))
    ).one_or_none()


async def first_user(session: AsyncSession) -> UserRow | None:
    """The oldest user."""
    return (
        await session.scalars(select(UserRow).where(_ACTIVE).order_by(UserRow.id).limit(1))
    ).one_or_none()


async def newest_users(
    session: AsyncSession, *, after: str | None, limit: int
) -> Sequence[UserRow]:
    """Users, newest first."""
    query = select(UserRow).where(_ACTIVE).order_by(UserRow.id.desc()).limit(limit)
    if after:
        query = query.where(UserRow.id < after)
    return (await session.scalars(query)).all()


async def newest_tokens(
    session: AsyncSession, *, owner_id: str, after: str | None, limit: int
) -> Sequence[TokenRow]:
    """A user's tokens, newest first."""
    query = (
        select(TokenRow)
        .where(TokenRow.user_id == owner_id)
        .order_by(TokenRow.id.desc())
        .limit(limit)
    )
    if after:
        query = query.where(TokenRow.id < after)
    return (await session.scalars(query)).all()


async def delete_token(session: AsyncSession, token_id: str, *, owner_id: str | None) -> bool:
    """Delete a token, of `owner_id` where given; whether there was one."""
    query = delete(TokenRow).where(TokenRow.id == token_id).returning(TokenRow.id)
    if owner_id is not None:
        query = query.where(TokenRow.user_id == owner_id)
    return (await session.execute(query)).first() is not None


async def delete_tokens_named(session: AsyncSession, name: str, *, owner_id: str) -> None:
    """Delete a user's tokens of this name."""
    await session.execute(
        delete(TokenRow).where(TokenRow.user_id == owner_id, TokenRow.name == name)
    )


async def token_ids(session: AsyncSession, user_id: str) -> Sequence[str]:
    """The ids of a user's tokens."""
    return (await session.scalars(select(TokenRow.id).where(TokenRow.user_id == user_id))).all()
