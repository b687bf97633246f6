"""What is left of the jobs of a user who was deleted."""

from __future__ import annotations

from app.database.engine import Database
from app.events import queries as event_queries

# By id, parents before the jobs that they started: the order in which all take these locks.
_LOCK = "select id from jobs where user_id = $1 order by id limit $2 for update"
_END_LEASES = """
update job_leases set ended_at = clock_timestamp() where job_id = any($1) and ended_at is null"""
_DELETE = "delete from jobs where id = any($1)"


async def delete_all_of(db: Database, user_id: str, *, limit: int) -> int:
    """Remove some of a user's jobs, whatever they do, with their events; return how many.

    Their leases end; they are purged like all that have ended.
    """
    async with db.transaction() as on:
        ids = [row["id"] for row in await on.fetch(_LOCK, user_id, limit)]
        await on.execute(_END_LEASES, ids)
        for job_id in ids:
            await event_queries.delete(on, job_id)
        await on.execute(_DELETE, ids)
    return len(ids)
