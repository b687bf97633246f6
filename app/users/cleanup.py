"""Removal of deleted users after their data has been deleted."""

from __future__ import annotations

from datetime import timedelta

from app.database.engine import Database
from app.users import queries


async def deleted(db: Database, *, before: timedelta, after: str, limit: int) -> list[str]:
    """Return the ids of users who were deleted at least `before` ago, ordered by id."""
    return await queries.deleted(db.pool, before=before, after=after, limit=limit)


async def forget(db: Database, user_id: str) -> None:
    """Remove a deleted user and their tokens.

    Raises:
        asyncpg.ForeignKeyViolationError: The user still has rows in other tables.
    """
    await queries.remove(db.pool, user_id)
