"""What the hub asks about jobs: how far their logs reach, and how they stand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

import orjson

from app.database.engine import Database
from app.events import queries as event_queries
from app.events.broadcaster import Head
from app.events.log import Snapshot
from app.events.node_states import node_out
from app.jobs import queries
from app.jobs.schemas import job_out


class JobHeads:
    """The ends of jobs' logs, and snapshots of jobs whose events are gone."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def of_jobs(self, job_ids: Collection[str]) -> Mapping[str, Head]:
        """Return those of jobs; one that does not exist is left out."""
        return {row["id"]: Head(*row) for row in await queries.heads(self._db.pool, job_ids)}

    async def of_users(self, user_ids: Collection[str], look_back: timedelta) -> Sequence[Head]:
        """Return those of users' jobs that have not ended, or ended within `look_back`."""
        rows = await queries.heads_of_users(self._db.pool, user_ids, look_back)
        return [Head(*row) for row in rows]

    async def snapshot(self, job_id: str) -> Snapshot | None:
        """Return how a job stands; None when it does not exist.

        Events are removed only of jobs that have ended, so none of them waits for anything.
        """
        row = await queries.whole(self._db.pool, job_id)
        if row is None:
            return None
        job = job_out(row)
        nodes = await event_queries.nodes(self._db.pool, job_id)
        body = {
            "job": job.model_dump(mode="json"),
            "nodes": [node_out(node).model_dump(mode="json") for node in nodes],
        }
        return Snapshot(orjson.dumps(body).decode(), row["last_seq"], job.is_ended)
