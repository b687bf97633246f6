"""Deletion of the jobs of deleted users."""

from __future__ import annotations

from app.database.engine import Database
from app.events import queries as event_queries
from app.jobs import queries


async def delete_of_user(db: Database, user_id: str, *, limit: int) -> int:
    """Delete some of a user's jobs in any state, with their events; return how many."""
    async with db.transaction() as on:
        job_ids = await queries.lock_of_user(on, user_id, limit=limit)
        for job_id in job_ids:
            await event_queries.delete(on, job_id)
        await queries.delete_all(on, job_ids)
    return len(job_ids)
