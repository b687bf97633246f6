"""Deletion of expired jobs, and of the jobs of deleted users."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from app.database.engine import Database
from app.database.statement import Connection
from app.events import queries as event_queries
from app.jobs import queries


async def delete_of_user(db: Database, user_id: str, *, limit: int) -> int:
    """Delete some of a user's jobs in any state, with their events; return how many."""
    async with db.transaction() as on:
        job_ids = await queries.lock_of_user(on, user_id, limit=limit)
        await _delete(on, job_ids)
    return len(job_ids)


async def count_expired(db: Database, keep: timedelta) -> int:
    """Return the number of jobs that ended longer ago than `keep`."""
    return await queries.count_expired(db.pool, keep=keep)


async def delete_expired(db: Database, keep: timedelta, *, limit: int) -> int:
    """Delete some of the jobs that ended longer ago than `keep`; return how many."""
    async with db.transaction() as on:
        job_ids = await queries.lock_expired(on, keep=keep, limit=limit)
        await _delete(on, job_ids)
    return len(job_ids)


async def _delete(on: Connection, job_ids: Sequence[str]) -> None:
    """Delete jobs with their events, the states of their nodes and their webhook deliveries."""
    if job_ids:
        await event_queries.delete_all(on, job_ids)
        await queries.delete_all(on, job_ids)
