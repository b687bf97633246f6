"""Look-up of jobs with retained events, for the cleanup of files that jobs created."""

from __future__ import annotations

from collections.abc import Collection

from app.database.engine import Database
from app.events import queries


async def with_events(db: Database, job_ids: Collection[str]) -> set[str]:
    """Return the ids of the jobs that still have an event."""
    return await queries.jobs_with_events(db.pool, job_ids)
