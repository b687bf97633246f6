"""What is left of the workers of a user who was deleted."""

from __future__ import annotations

from app.database.engine import Database

_DELETE = """
delete from workers where id in (
  select id from workers w where user_id = $1
    and not exists (select from job_leases l where l.worker_id = w.id and l.ended_at is null)
  limit $2)
returning id"""
_ARE_LEFT = "select exists (select from workers where user_id = $1)"


async def delete_all_of(db: Database, user_id: str, *, limit: int) -> int:
    """Remove some of a user's workers; return how many.

    One that still runs somebody else's job stays until that lease is over.
    """
    return len(await db.pool.fetch(_DELETE, user_id, limit))


async def are_left(db: Database, user_id: str) -> bool:
    """Whether a worker of the user is still there."""
    left: bool = await db.pool.fetchval(_ARE_LEFT, user_id)
    return left
