"""Statements on leases, by asyncpg: claims, heartbeats, event batches, the reaper."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

import asyncpg

from app.database.statement import Connection
from app.jobs.queries import STATE, WHOLE

On: TypeAlias = "Connection | asyncpg.Pool[asyncpg.Record]"

_LEASE = """
l.token_hash, l.attempt as lease_attempt, l.worker_id as lease_worker_id, l.granted_at,
    l.expires_at,
l.confirmed_at, l.ended_at, l.last_client_seq"""

# The clock is read outside the CTE: inside, it would be read before a wait for the lock.
_LOCK = f"""
with locked as materialized (
    select {STATE}, {_LEASE} from jobs j join job_leases l on l.job_id = j.id
    where l.token_hash = $1 for update of j, l
)
select *, clock_timestamp() as now from locked"""
_LOCK_OF_WORKER = f"""
with locked as materialized (
    select {STATE}, {_LEASE} from jobs j join job_leases l on l.job_id = j.id
    where l.worker_id = $1 and l.ended_at is null order by j.id for update of j, l
)
select *, clock_timestamp() as now from locked"""
_OVERDUE = f"""
with locked as materialized (
    select {STATE}, j.timeout_s, j.attempt_started_at, {_LEASE}
    from job_leases l join jobs j on j.id = l.job_id
    where l.ended_at is null and (
        l.expires_at <= clock_timestamp()
        or j.cancel_requested_at <= clock_timestamp() - $1 * interval '1 s'
        or j.attempt_started_at + j.timeout_s * interval '1 s' <= clock_timestamp()
    )
    order by j.id limit $2 for update of j, l skip locked
)
select *, clock_timestamp() as now,
    expires_at <= clock_timestamp() as has_expired,
    cancel_requested_at <= clock_timestamp() - $1 * interval '1 s' as is_past_grace,
    attempt_started_at + timeout_s * interval '1 s' <= clock_timestamp() as has_timed_out
from locked"""
_UNCONFIRMED = f"""
with there as materialized (
    select id from workers where id = $1 for key share
), locked as materialized (
    select {WHOLE} from there
        join job_leases l on l.worker_id = there.id join jobs j on j.id = l.job_id
    where l.ended_at is null and l.confirmed_at is null
        and l.expires_at > clock_timestamp()
    order by l.granted_at limit $2 for update of j, l skip locked
), timed as materialized (
    select *, clock_timestamp() as now from locked
)
select *, now + $3 * interval '1 s' as expires_at from timed"""
_HEARTBEAT = """
update job_leases l
set expires_at = clock_timestamp() + $2 * interval '1 s',
    confirmed_at = coalesce(l.confirmed_at, clock_timestamp())
from jobs j
where l.token_hash = $1 and j.id = l.job_id and l.ended_at is null
    and l.expires_at > clock_timestamp()
returning l.expires_at, l.worker_id, j.cancel_requested_at is not null as cancel_requested"""
_JOB_STATUS = """
select j.status from jobs j join job_leases l on l.job_id = j.id where l.token_hash = $1"""
_END_OF = "update job_leases set ended_at = $2 where job_id = $1 and ended_at is null"
_INSERT = """
insert into job_leases (token_hash, job_id, attempt, worker_id, granted_at, expires_at)
select hash, job_id, attempt, $4, granted_at, expires_at
from unnest($1::bytea[], $2::text[], $3::int[], $5::timestamptz[], $6::timestamptz[])
    as l(hash, job_id, attempt, granted_at, expires_at)"""
_PRINCIPAL = """
select l.job_id, l.attempt, j.user_id, u.quota_bytes, l.ended_at is null
    and l.expires_at > clock_timestamp() as is_live
from job_leases l join jobs j on j.id = l.job_id join users u on u.id = j.user_id
where l.token_hash = $1 and u.deleted_at is null"""
_LIVE = """
select token_hash from job_leases
where token_hash = any($1) and ended_at is null and expires_at > clock_timestamp()"""
_PURGE = "delete from job_leases where ended_at < now() - interval '1 day'"


async def lock(on: On, token_hash: bytes) -> asyncpg.Record | None:
    """A lease and its job, both locked; None when there is no such job any more."""
    row: asyncpg.Record | None = await on.fetchrow(_LOCK, token_hash)
    return row


async def lock_of_worker(on: On, worker_id: str) -> list[asyncpg.Record]:
    """The live leases of a worker and their jobs, locked."""
    rows: list[asyncpg.Record] = await on.fetch(_LOCK_OF_WORKER, worker_id)
    return rows


async def overdue(on: On, *, cancel_grace_s: float, limit: int) -> list[asyncpg.Record]:
    """Live leases that only the service will end, locked; those locked elsewhere are left out."""
    rows: list[asyncpg.Record] = await on.fetch(_OVERDUE, cancel_grace_s, limit)
    return rows


async def unconfirmed(on: On, worker_id: str, *, limit: int, ttl_s: float) -> list[asyncpg.Record]:
    """The whole jobs of leases that a worker was given and never spoke for, locked.

    The worker stays there until the end of the transaction; none are found for one that is gone.
    `expires_at` is when a lease that they are given now expires.
    """
    rows: list[asyncpg.Record] = await on.fetch(_UNCONFIRMED, worker_id, limit, ttl_s)
    return rows


async def heartbeat(on: On, token_hash: bytes, *, ttl_s: float) -> asyncpg.Record | None:
    """Renew a lease; None when it is over."""
    row: asyncpg.Record | None = await on.fetchrow(_HEARTBEAT, token_hash, ttl_s)
    return row


async def job_status(on: On, token_hash: bytes) -> str | None:
    """The status of a lease's job."""
    status: str | None = await on.fetchval(_JOB_STATUS, token_hash)
    return status


async def end_of(on: On, job_id: str, now: datetime) -> None:
    """End the live lease of a job."""
    await on.execute(_END_OF, job_id, now)


async def insert(
    on: On, hashes: Sequence[bytes], jobs: Sequence[asyncpg.Record], *, worker_id: str
) -> None:
    """Store new leases of jobs, from `now` to `expires_at`."""
    await on.execute(
        _INSERT,
        hashes,
        [job["id"] for job in jobs],
        [job["attempt"] for job in jobs],
        worker_id,
        [job["now"] for job in jobs],
        [job["expires_at"] for job in jobs],
    )


async def principal(on: On, token_hash: bytes) -> asyncpg.Record | None:
    """For whom a lease's token speaks, and whether the lease lives."""
    row: asyncpg.Record | None = await on.fetchrow(_PRINCIPAL, token_hash)
    return row


async def live(on: On, token_hashes: list[bytes]) -> set[bytes]:
    """Those of these leases that live."""
    return {row["token_hash"] for row in await on.fetch(_LIVE, token_hashes)}


async def purge(on: On) -> None:
    """Remove leases that ended a day ago."""
    await on.execute(_PURGE)
