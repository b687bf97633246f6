"""Statements on leases: claims, heartbeats, event batches and the reaper."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from app.database.statement import Connection, Executor, Query, Scalar, Statement
from app.events.job_queries import JOB_COLUMNS, JobRecord
from app.events.sql import unindexed_null
from app.queue.job_queries import LOCKED_COLUMNS, LOCKED_FIELDS, LockedJob


class LeasedJobRecord(NamedTuple):
    """A newly leased job, and when its lease expires."""

    job: JobRecord
    now: datetime
    expires_at: datetime


class LockedLease(NamedTuple):
    """A lease and its job, both locked."""

    job: LockedJob
    worker_id: str
    expires_at: datetime
    confirmed_at: datetime | None
    ended_at: datetime | None
    last_client_seq: int

    @property
    def is_over(self) -> bool:
        """True once the lease has ended or expired."""
        return self.ended_at is not None or self.expires_at <= self.job.now


class OverdueLease(NamedTuple):
    """A live lease that the service must end, with the reasons."""

    lease: LockedLease
    timeout_s: float | None
    has_expired: bool
    is_past_grace: bool | None
    has_timed_out: bool | None


class RenewedLease(NamedTuple):
    """A lease after a heartbeat."""

    expires_at: datetime
    worker_id: str
    cancel_requested: bool


class LeaseOwner(NamedTuple):
    """The job of a lease, its user, and whether the lease is live."""

    job_id: str
    attempt: int
    user_id: str
    quota_bytes: int | None
    is_live: bool


_LEASE_FIELDS = LockedLease._fields[1:]
_LEASE_COLUMNS = ", ".join(f"l.{name}" for name in _LEASE_FIELDS)
# The clock is read outside the CTE: inside, it would be read before the wait for the lock.
_LOCKED = f"""
{", ".join(LOCKED_FIELDS)}, clock_timestamp() as now, {", ".join(_LEASE_FIELDS)}"""

_LOCK = Query(
    f"""
with locked as materialized (
    select {LOCKED_COLUMNS}, {_LEASE_COLUMNS}
    from jobs j join job_leases l on l.job_id = j.id
    where l.token_hash = :token_hash for update of j, l
)
select {_LOCKED} from locked""",
    LockedLease,
)
_LOCK_OF_WORKERS = Query(
    f"""
with locked as materialized (
    select {LOCKED_COLUMNS}, {_LEASE_COLUMNS}
    from jobs j join job_leases l on l.job_id = j.id
    where l.worker_id = any(:worker_ids) and l.ended_at is null order by j.id for update of j, l
)
select {_LOCKED} from locked""",
    LockedLease,
)
_LOCK_OVERDUE = Query(
    f"""
with locked as materialized (
    select {LOCKED_COLUMNS}, {_LEASE_COLUMNS}, j.timeout_s, j.attempt_started_at
    from job_leases l join jobs j on j.id = l.job_id
    where l.ended_at is null and (
        l.expires_at <= clock_timestamp()
        or j.cancel_requested_at <= clock_timestamp() - :cancel_grace_s * interval '1 s'
        or j.attempt_started_at + j.timeout_s * interval '1 s' <= clock_timestamp()
    )
    order by j.id limit :limit for update of j, l skip locked
)
select {_LOCKED}, timeout_s,
    expires_at <= clock_timestamp() as has_expired,
    cancel_requested_at <= clock_timestamp() - :cancel_grace_s * interval '1 s' as is_past_grace,
    attempt_started_at + timeout_s * interval '1 s' <= clock_timestamp() as has_timed_out
from locked""",
    OverdueLease,
)
_LOCK_UNCONFIRMED = Query(
    f"""
with there as materialized (
    select id from workers where id = :worker_id for key share
), locked as materialized (
    select {JOB_COLUMNS} from there
        join job_leases l on l.worker_id = there.id join jobs j on j.id = l.job_id
    where l.ended_at is null and l.confirmed_at is null
        and l.expires_at > clock_timestamp()
    order by l.granted_at limit :limit for update of j, l skip locked
), timed as materialized (
    select *, clock_timestamp() as now from locked
)
select *, now + :ttl_s * interval '1 s' as expires_at from timed""",
    LeasedJobRecord,
)
_RENEW = Query(
    f"""
update job_leases l
set expires_at = clock_timestamp() + :ttl_s * interval '1 s',
    confirmed_at = coalesce(l.confirmed_at, clock_timestamp()),
    last_client_seq = l.last_client_seq + :events
from jobs j
where l.token_hash = :token_hash and j.id = l.job_id and {unindexed_null("l.ended_at")}
    and l.expires_at > clock_timestamp()
returning l.expires_at, l.worker_id, j.cancel_requested_at is not null as cancel_requested""",
    RenewedLease,
)
_JOB_STATUS = Scalar(
    """
select j.status from jobs j join job_leases l on l.job_id = j.id
where l.token_hash = :token_hash""",
    str,
)
_END = Statement(
    "update job_leases set ended_at = :now where job_id = :job_id and ended_at is null"
)
_INSERT = Statement(
    """
insert into job_leases (token_hash, job_id, attempt, worker_id, granted_at, expires_at)
select hash, job_id, attempt, :worker_id, granted_at, expires_at
from unnest(:token_hashes::bytea[], :job_ids::text[], :attempts::int[],
    :granted_at::timestamptz[], :expires_at::timestamptz[])
    as l(hash, job_id, attempt, granted_at, expires_at)"""
)
_OWNER = Query(
    """
select l.job_id, l.attempt, j.user_id, u.quota_bytes, l.ended_at is null
    and l.expires_at > clock_timestamp() as is_live
from job_leases l join jobs j on j.id = l.job_id join users u on u.id = j.user_id
where l.token_hash = :token_hash and u.deleted_at is null""",
    LeaseOwner,
)
_LIVE = Scalar(
    f"""
select token_hash from job_leases
where token_hash = any(:token_hashes) and {unindexed_null("ended_at")}
    and expires_at > clock_timestamp()""",
    bytes,
)
_PURGE = Statement("delete from job_leases where ended_at < now() - interval '1 day'")


async def lock(on: Connection, token_hash: bytes) -> LockedLease | None:
    """Lock and return a lease and its job; None if the job was deleted."""
    return await _LOCK.one(on, token_hash=token_hash)


async def lock_of_workers(on: Connection, worker_ids: Collection[str]) -> list[LockedLease]:
    """Lock and return the live leases of workers and their jobs."""
    return await _LOCK_OF_WORKERS.all(on, worker_ids=list(worker_ids))


async def lock_overdue(on: Connection, *, cancel_grace_s: float, limit: int) -> list[OverdueLease]:
    """Lock and return live leases that are expired, timed out, or past the cancel grace period.

    Leases that another transaction has locked are skipped.
    """
    return await _LOCK_OVERDUE.all(on, cancel_grace_s=cancel_grace_s, limit=limit)


async def lock_unconfirmed(
    on: Connection, worker_id: str, *, limit: int, ttl_s: float
) -> list[LeasedJobRecord]:
    """Lock and return the jobs of leases that their worker never confirmed.

    The worker is locked against deletion until the end of the transaction; for a deleted worker
    the result is empty. `expires_at` is that of a lease that begins now.
    """
    return await _LOCK_UNCONFIRMED.all(on, worker_id=worker_id, limit=limit, ttl_s=ttl_s)


async def renew(
    on: Executor, token_hash: bytes, *, ttl_s: float, events: int = 0
) -> RenewedLease | None:
    """Renew a lease; return None if it has ended or expired.

    Args:
        on: The connection or the pool.
        token_hash: Hash of the token of the lease.
        ttl_s: The duration of the lease.
        events: Number of new events of the worker that are accepted and not stored.
    """
    return await _RENEW.one(on, token_hash=token_hash, ttl_s=ttl_s, events=events)


async def job_status(on: Executor, token_hash: bytes) -> str | None:
    """Return the status of a lease's job."""
    return await _JOB_STATUS.value(on, token_hash=token_hash)


async def end(on: Connection, job_id: str, now: datetime) -> None:
    """End the live lease of a job."""
    await _END.execute(on, job_id=job_id, now=now)


async def insert(
    on: Connection,
    token_hashes: Sequence[bytes],
    jobs: Sequence[LeasedJobRecord],
    *,
    worker_id: str,
) -> None:
    """Insert leases of jobs."""
    await _INSERT.execute(
        on,
        worker_id=worker_id,
        token_hashes=token_hashes,
        job_ids=[leased.job.id for leased in jobs],
        attempts=[leased.job.attempt for leased in jobs],
        granted_at=[leased.now for leased in jobs],
        expires_at=[leased.expires_at for leased in jobs],
    )


async def find_owner(on: Executor, token_hash: bytes) -> LeaseOwner | None:
    """Return the job and the user of the lease with this token."""
    return await _OWNER.one(on, token_hash=token_hash)


async def live_among(on: Executor, token_hashes: Sequence[bytes]) -> list[bytes]:
    """Return the hashes in `token_hashes` whose lease is live."""
    return await _LIVE.values(on, token_hashes=token_hashes)


async def purge(on: Executor) -> None:
    """Delete leases that ended more than a day ago."""
    await _PURGE.execute(on)
