"""Look-up of the ends of jobs, for the expiry of files that jobs created."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from app.database.engine import Database
from app.events import job_queries


async def job_ends(db: Database, job_ids: Collection[str]) -> dict[str, datetime | None]:
    """Return the times at which those of the jobs ended that exist; None for unfinished ones."""
    return {job.id: job.finished_at for job in await job_queries.ends(db.pool, job_ids)}
