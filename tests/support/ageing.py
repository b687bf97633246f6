"""Jobs that are moved into the past, for tests of retention."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

from app.database.engine import Database
from app.events import partitions
from app.http.auth import JOB_PREFIX, hash_token, new_token
from app.runtime.ids import created_at, new_id
from app.settings import Settings
from app.users.bootstrap import open_database
from tests.support.jobs import HeldJob

_JOB = """
update jobs set id = $2, created_at = created_at - $3::interval,
    started_at = started_at - $3::interval, finished_at = finished_at - $3::interval
where id = $1"""
_EVENTS = """
update job_events set job_id = $2::text, body = replace(body, $1::text, $2::text),
    time = time - $3::interval
where job_id = $1::text"""
_TOKEN = "update job_leases set token_hash = $2 where job_id = $1 and ended_at is null"
_OTHERS = ("job_leases", "job_nodes", "temp_files")


async def age(settings: Settings, job_id: str, days: int, *, partitioned: bool = True) -> str:
    """Move a job and its events into the past; return its new id, which contains its time.

    Without `partitioned`, no partitions are created for the days of the events.
    """
    by = timedelta(days=days)
    moment = int(created_at(job_id).timestamp() * 1000) - days * 86_400_000
    old = f"{moment:012x}" + new_id()[12:]
    async with open_database(settings) as db:
        if partitioned:
            for day in await _days_of(db, job_id):
                await partitions.create_partition(db, day - by)
        async with db.transaction() as on:
            await on.execute(_JOB, job_id, old, by)
            await on.execute(_EVENTS, job_id, old, by)
            for table in _OTHERS:
                await on.execute(f"update {table} set job_id = $2 where job_id = $1", job_id, old)
    return old


async def aged(settings: Settings, held: HeldJob, days: int) -> HeldJob:
    """Move a job into the past whose lease stays live, under another token.

    The token changes because services cache the job id of a token.
    """
    old = await age(settings, held.id, days)
    token = new_token(JOB_PREFIX)
    async with open_database(settings) as db:
        await db.pool.execute(_TOKEN, old, hash_token(token))
    return replace(held, job={**held.job, "id": old}, token=token)


async def _days_of(db: Database, job_id: str) -> list[date]:
    rows = await db.pool.fetch("select time from job_events where job_id = $1", job_id)
    times: list[datetime] = [row["time"] for row in rows]
    return sorted({time.date() for time in times})


async def days_with_partition(settings: Settings) -> set[str]:
    """Return the names of the partitions of `job_events`."""
    async with open_database(settings) as db:
        rows = await db.pool.fetch(
            "select inhrelid::regclass::text as name from pg_inherits "
            "where inhparent = 'job_events'::regclass"
        )
    return {row["name"] for row in rows}
