"""Which jobs still have events: what was made for them lives as long."""

from __future__ import annotations

from collections.abc import Collection

from app.database.engine import Database
from app.events.queries import since

_HAVE_EVENTS = """
select id from unnest($1::text[]) as j (id)
where exists (select from job_events e where e.job_id = j.id and e.time >= $2)"""


async def with_events(db: Database, job_ids: Collection[str]) -> set[str]:
    """Return those of the jobs that have an event left."""
    if not job_ids:
        return set()
    rows = await db.pool.fetch(_HAVE_EVENTS, list(job_ids), since(min(job_ids)))
    return {row["id"] for row in rows}
