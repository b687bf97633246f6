"""Users who were deleted and whose data has to go."""

from __future__ import annotations

from datetime import timedelta

from app.database.engine import Database

_DELETED = """
select id from users where deleted_at < now() - $1::interval and id > $2 order by id limit $3"""
_FORGET = "delete from users where id = $1 and deleted_at is not null"


async def deleted(db: Database, *, before: timedelta, after: str, limit: int) -> list[str]:
    """Return users who have been locked out for some time, by id."""
    return [row["id"] for row in await db.pool.fetch(_DELETED, before, after, limit)]


async def forget(db: Database, user_id: str) -> None:
    """Remove a deleted user and his tokens.

    Raises:
        asyncpg.ForeignKeyViolationError: Something of his is still there.
    """
    await db.pool.execute(_FORGET, user_id)
