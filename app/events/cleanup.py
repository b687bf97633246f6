"""Events that are left of jobs, for the cleanup of files that jobs created."""

from __future__ import annotations

from collections.abc import Collection

from app.database.engine import Database
from app.events import queries


async def with_events(db: Database, job_ids: Collection[str]) -> set[str]:
    """Return those of the jobs that have an event left."""
    return await queries.jobs_with_events(db.pool, job_ids)
