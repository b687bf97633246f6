"""Claims: which job goes to which worker, and the long poll for it.

Fair between users: each user's next job has a turn, which is the number of his jobs that run plus
its place in his own queue, and the lowest turns go first. The statement looks at queued and
running jobs only, by partial indexes, and jumps from user to user, so neither a long history nor a
long queue of one user makes it slow.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from app.core.auth import JOB_PREFIX, Principal, hash_token, new_token
from app.core.lifecycle import Shutdown
from app.events import log
from app.events.log import Batch
from app.events.waits import first_of
from app.jobs import lease_queries, queries
from app.jobs.bell import Bell
from app.jobs.ledger import Ledger, Ledgers
from app.jobs.schemas import job_out
from app.settings import Settings
from app.workers.service import Claimant, Workers
from processing_context.wire.workers import Lease

SPARE = 16
"""How many more candidates a claim looks at than it takes: others may claim the first ones."""

_RUNNING = log.draft({"type": "job_update", "status": "running"})

_EVERYBODY = """
    (select user_id from jobs where status = 'queued' order by user_id limit 1)
    union all
    select (select j.user_id from jobs j where j.status = 'queued' and j.user_id > o.user_id
            order by j.user_id limit 1)
    from owners o where o.user_id is not null"""
_PICK = """
with recursive owners(user_id) as ({owners}
), open_to as (
    select o.user_id, r.running
    from owners o join users u on u.id = o.user_id and u.deleted_at is null
    cross join lateral (
        select count(*) as running from jobs j where j.user_id = o.user_id and j.status = 'running'
    ) r
    where r.running < $3
), candidates as (
    select c.id, u.running + row_number() over (partition by u.user_id order by c.priority desc,
        c.id) as turn
    from open_to u cross join lateral (
        select j.id, j.priority from jobs j
        where j.user_id = u.user_id and j.status = 'queued' and j.available_at <= clock_timestamp()
            and j.required_capabilities <@ $1 and ($2::text[] is null or j.node_types <@ $2)
        order by j.priority desc, j.id limit least($4, $3 - u.running)
    ) c
), picked as materialized (
    select j.id, j.user_id, j.attempt, j.last_seq, j.traceparent
    from candidates c join jobs j on j.id = c.id
    where j.status = 'queued'
    order by c.turn, c.id limit $5 for update of j skip locked
)
select *, clock_timestamp() as now from picked"""
_PICK_FROM_ALL = _PICK.format(owners=_EVERYBODY)
_PICK_FROM_OWN = _PICK.format(owners=" select $6::text")

_GRANT = f"""
with picked as (
    select * from unnest($1::text[], $2::bytea[], $3::int[], $4::text[]) as p(id, hash, seq, body)
), lease as (
    insert into job_leases (token_hash, job_id, attempt, worker_id, granted_at, expires_at)
    select p.hash, p.id, j.attempt, $5, $6, $6::timestamptz + $7 * interval '1 s'
        from picked p join jobs j on j.id = p.id
    returning job_id, expires_at
), event as (
    insert into job_events (job_id, seq, time, is_end, body) select id, seq, $6, false, body
        from picked
), running as (
    update jobs j
    set status = 'running', worker_id = $5, started_at = coalesce(j.started_at, $6),
        attempt_started_at = $6,
        last_seq = p.seq
    from picked p where j.id = p.id
    returning {queries.WHOLE}
)
select j.*, lease.expires_at from running j join lease on lease.job_id = j.id
order by array_position($1, j.id::text)"""


class Claims:
    """Gives jobs to workers."""

    def __init__(
        self,
        ledgers: Ledgers,
        bell: Bell,
        workers: Workers,
        shutdown: Shutdown,
        settings: Settings,
    ) -> None:
        self._ledgers = ledgers
        self._bell = bell
        self._workers = workers
        self._shutdown = shutdown
        self._ttl_s = settings.lease_ttl_s
        self._look_s = settings.heartbeat_interval_s
        self._user_limit = settings.max_running_jobs_per_user

    async def claim(
        self,
        worker_id: str,
        principal: Principal,
        *,
        wait_s: float,
        max_jobs: int,
        gone: asyncio.Event,
    ) -> list[Lease]:
        """Return leases for a worker, waiting for the first one; none when none came.

        Args:
            worker_id: The worker.
            principal: The token that speaks for it.
            wait_s: How long to wait.
            max_jobs: How many jobs at most.
            gone: Set when nobody listens to the answer any more: then it takes no job.

        Raises:
            WorkerNotFound: It was deleted or forgotten, or is another user's.
            Forbidden: Another token registered it.
        """
        deadline = time.monotonic() + wait_s
        claimant, leases = await self._take(worker_id, principal, max_jobs, is_first=True)
        while not leases and wait_s:
            with self._bell.waiter(claimant) as waiter:
                claimant, leases = await self._take(worker_id, principal, max_jobs)
                left_s = deadline - time.monotonic()
                is_over = leases or left_s <= 0 or self._shutdown.is_begun or gone.is_set()
                if not is_over:
                    seconds = min(left_s, self._look_s)
                    await first_of(
                        waiter.wait(), self._shutdown.wait(), gone.wait(), seconds=seconds
                    )
                    is_over = gone.is_set()
                if is_over:
                    self._bell.pass_on(waiter)
                    break
        if leases and gone.is_set():
            await self._give_back(leases)
            return []
        return leases

    async def remove_worker(self, worker_id: str, principal: Principal) -> None:
        """Delete a worker and give back its jobs, no attempt counted.

        Raises:
            WorkerNotFound: It is not there, or is another user's.
            Forbidden: Another token registered it.
        """
        async with self._ledgers.open() as ledger:
            await self._workers.remove(ledger.connection, worker_id, principal)
            for row in await lease_queries.lock_of_worker(ledger.connection, worker_id):
                await ledger.give_back(row, "The worker was removed.", counts=False)

    async def _take(
        self, worker_id: str, principal: Principal, max_jobs: int, *, is_first: bool = False
    ) -> tuple[Claimant, list[Lease]]:
        """Look once. What the worker was given before and never spoke for comes first.

        But only at the start of a claim: what another claim of the same worker is given while
        this one waits is not lost.
        """
        async with self._ledgers.open() as ledger:
            claimant = await self._workers.hold(ledger.connection, worker_id, principal)
            if is_first and (leases := await self._again(ledger, worker_id, max_jobs)):
                return claimant, leases
            if claimant.is_draining:
                return claimant, []
            picked = await self._pick(ledger, claimant, max_jobs)
            if not picked:
                return claimant, []
            return claimant, await self._grant(ledger, claimant, picked)

    async def _again(self, ledger: Ledger, worker_id: str, max_jobs: int) -> list[Lease]:
        """Hand out again what was given in a reply that was lost, each with a new token."""
        on = ledger.connection
        rows = await lease_queries.unconfirmed(on, worker_id, limit=max_jobs)
        if not rows:
            return []
        now = rows[0]["now"]
        for row in rows:
            await lease_queries.end_of(on, row["id"], now)
        tokens = [new_token(JOB_PREFIX) for _ in rows]
        expiries = await lease_queries.insert(
            on,
            [hash_token(token) for token in tokens],
            [row["id"] for row in rows],
            [row["attempt"] for row in rows],
            worker_id=worker_id,
            now=now,
            ttl_s=self._ttl_s,
        )
        return [
            _lease(row, token, expiries[row["id"]]) for row, token in zip(rows, tokens, strict=True)
        ]

    async def _pick(
        self, ledger: Ledger, claimant: Claimant, max_jobs: int
    ) -> list[asyncpg.Record]:
        types = claimant.abilities.node_types
        args: list[Any] = [
            list(claimant.abilities.capabilities),
            None if types is None else list(types),
            self._user_limit,
            max_jobs + SPARE,
            max_jobs,
        ]
        if claimant.owner_id is None:
            return await ledger.connection.fetch(_PICK_FROM_ALL, *args)
        return await ledger.connection.fetch(_PICK_FROM_OWN, *args, claimant.owner_id)

    async def _grant(
        self, ledger: Ledger, claimant: Claimant, picked: Sequence[asyncpg.Record]
    ) -> list[Lease]:
        now = picked[0]["now"]
        batches = [_running(row, now) for row in picked]
        tokens = [new_token(JOB_PREFIX) for _ in picked]
        rows = await ledger.connection.fetch(
            _GRANT,
            [row["id"] for row in picked],
            [hash_token(token) for token in tokens],
            [batch.events[0].seq for batch in batches],
            [batch.events[0].text for batch in batches],
            claimant.id,
            now,
            self._ttl_s,
        )
        ledger.batches.extend(batches)
        return [
            _lease(row, token, row["expires_at"]) for row, token in zip(rows, tokens, strict=True)
        ]

    async def _give_back(self, leases: Sequence[Lease]) -> None:
        async with self._ledgers.open() as ledger:
            for lease in sorted(leases, key=lambda lease: lease.job.id):
                row = await lease_queries.lock(ledger.connection, hash_token(lease.token))
                if row is not None and row["ended_at"] is None:
                    await ledger.give_back(
                        row, "The worker went away before it had the job.", counts=False
                    )


def _running(row: asyncpg.Record, now: datetime) -> Batch:
    """Return the event that a job runs."""
    events = log.place(
        [_RUNNING],
        job_id=row["id"],
        after=row["last_seq"],
        attempt=row["attempt"],
        time=now,
        traceparent=row["traceparent"],
    )
    return Batch(row["id"], row["user_id"], events)


def _lease(row: asyncpg.Record, token: str, expires_at: datetime) -> Lease:
    return Lease(
        job=job_out(row),
        attempt=row["attempt"],
        token=token,
        expires_at=expires_at,
        traceparent=row["traceparent"],
    )
