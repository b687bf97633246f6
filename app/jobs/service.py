"""Jobs of users: create, read, cancel, retry and delete them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from app.database.engine import Database
from app.database.statement import Connection
from app.events import node_queries
from app.events import queries as event_queries
from app.events.job_queries import JobRecord, JobState, JobSummary
from app.events.node_queries import NodeRecord
from app.http import pagination
from app.http.auth import Principal
from app.http.idempotency.keys import BatchIdempotencyKey, IdempotencyKey, fingerprint_of
from app.http.pagination import Page, decode_text_cursor
from app.http.quotas import CountQuota
from app.jobs import queries
from app.jobs.errors import JobNotEnded, JobNotRetryable, TooDeep
from app.jobs.filters import JobFilters
from app.jobs.job_specs import JobSpecs
from app.jobs.queue_reason import QueueReasons
from app.queue import job_queries
from app.queue.enqueue import Enqueuer
from app.queue.errors import JobNotFound, ParentEnded
from app.queue.job_offers import EnqueuedJob
from app.queue.new_job import JobSpec, NewJob
from app.runtime.ids import new_id
from app.runtime.request_context import traceparent
from app.settings import Settings
from app.workflows.graphs import Graphs
from processing_context.wire.jobs import ENDED, RunJobRequest

MAX_DEPTH = 8

UNFINISHED_AT_ONCE = 20
"""Unfinished jobs that are read at once; each may have thousands of nodes."""


class CreatedJob(NamedTuple):
    """A job created by this request, or by an earlier one with the same Idempotency-Key.

    Without a `record`, the job must be read again: an earlier request created it, or it may have a
    queue reason.
    """

    id: str
    is_replay: bool
    record: JobRecord | None


class JobView(NamedTuple):
    """A job, and the reason if it is still queued."""

    job: JobRecord
    waiting_reason: str | None


class SummaryView(NamedTuple):
    """A job without its large fields, and the reason if it is still queued."""

    job: JobSummary
    waiting_reason: str | None


class UnfinishedJob(NamedTuple):
    """A job that has not ended, its queue reason and its nodes."""

    job: JobSummary
    waiting_reason: str | None
    nodes: Sequence[NodeRecord]


class JobService:
    """Jobs of all users; each call names the user or the principal that it acts for."""

    def __init__(
        self,
        db: Database,
        enqueuer: Enqueuer,
        graphs: Graphs,
        specs: JobSpecs,
        reasons: QueueReasons,
        settings: Settings,
    ) -> None:
        self._db = db
        self._enqueuer = enqueuer
        self._graphs = graphs
        self._specs = specs
        self._reasons = reasons
        self._quota = CountQuota(
            "queued jobs",
            settings.max_queued_jobs_per_user,
            lambda user_id, limit: queries.count_queued(db.pool, user_id, limit),
            remedy="wait until some have run, or cancel them.",
        )

    async def create(
        self, principal: Principal, request: RunJobRequest, key: IdempotencyKey
    ) -> CreatedJob:
        """Create a job; with the token of a lease it is a child of the lease's job.

        Raises:
            WorkflowNotFound: The user may not read the workflow.
            InvalidGraph: The graph cannot be run.
            TooDeep: It would have more than 8 ancestors.
            ParentEnded: The parent has ended or is being cancelled.
            UrlNotAllowed: The service does not post to the URL of the webhook.
            QuotaExceeded: The user has too many queued jobs.
        """
        created = None
        if key.is_given:
            created = await key.begin(await self._graphs.fingerprint(request))
        if created is not None:
            return CreatedJob(created, is_replay=True, record=None)
        return await self._enqueue(
            principal, await self._specs.resolve(principal.user_id, request), key
        )

    async def create_all(
        self, principal: Principal, requests: Sequence[RunJobRequest], key: BatchIdempotencyKey
    ) -> tuple[list[JobView], bool]:
        """Create jobs, all of them or none.

        Returns:
            The jobs, and whether an earlier request with the same key created them.

        Raises:
            ProblemError: `create` would fail for one of them; the detail names its position.
        """
        if key.is_given:
            fingerprint = await self._graphs.fingerprint(*requests)
            created = await key.begin(fingerprint, len(requests))
            if created is not None:
                return [await self.get(principal.user_id, job_id) for job_id in created], True
        specs = await self._specs.resolve_all(principal.user_id, requests)
        await self._quota.check(principal.user_id, len(specs))
        jobs = [_new_job(principal, spec) for spec in specs]
        if principal.job_id is None and not key.is_given:
            enqueued = await self._enqueuer.enqueue_all(jobs)
        else:
            enqueued = await self._enqueue_within(principal, jobs, key.complete)
        waiting = [each.record for each in enqueued if not each.starts_soon]
        reasons = await self._reasons.of(principal.user_id, waiting)
        return [JobView(each.record, reasons.get(each.record.id)) for each in enqueued], False

    async def retry(self, principal: Principal, job_id: str, key: IdempotencyKey) -> CreatedJob:
        """Create a job that retries a failed or cancelled one.

        Raises:
            JobNotFound: It does not exist or belongs to another user.
            JobNotRetryable: It has not failed and was not cancelled.
            QuotaExceeded: The user has too many queued jobs.
        """
        created = await key.begin(fingerprint_of(job_id))
        if created is not None:
            return CreatedJob(created, is_replay=True, record=None)
        source = await queries.source(self._db.pool, job_id, user_id=principal.user_id)
        if source is None:
            raise JobNotFound(job_id)
        if source.status not in ("failed", "cancelled"):
            raise JobNotRetryable(job_id, source.status)
        return await self._enqueue(principal, source.spec, key)

    async def get(self, user_id: str, job_id: str) -> JobView:
        """Return one job.

        Raises:
            JobNotFound: It does not exist or belongs to another user.
        """
        job = await queries.get(self._db.pool, job_id, user_id=user_id)
        if job is None:
            raise JobNotFound(job_id)
        return JobView(job, (await self._reasons.of(user_id, [job])).get(job_id))

    async def state(self, user_id: str, job_id: str) -> JobState:
        """Return the status of a job and its last `seq`.

        Raises:
            JobNotFound: It does not exist or belongs to another user.
        """
        state = await queries.state(self._db.pool, job_id, user_id=user_id)
        if state is None:
            raise JobNotFound(job_id)
        return state

    async def nodes(
        self, user_id: str, job_id: str, *, page_size: int, cursor: str | None
    ) -> tuple[Sequence[NodeRecord], str | None]:
        """Return a page of the latest states of a job's nodes, and the next cursor.

        Raises:
            JobNotFound: It does not exist or belongs to another user.
            InvalidCursor: The cursor is not one of this list.
        """
        await self.state(user_id, job_id)
        after = decode_text_cursor(cursor) if cursor else None
        listed = await node_queries.page(self._db.pool, job_id, after=after, size=page_size)
        return listed.rows, pagination.next_cursor(listed, "node_id")

    async def page(
        self, user_id: str, page: Page, filters: JobFilters
    ) -> tuple[list[SummaryView], str | None]:
        """Return a page of a user's jobs, newest first, and the next cursor."""
        if filters.match_nothing:
            return [], None
        listed = await queries.page(
            self._db.pool, user_id=user_id, filters=filters, after=page.after, size=page.size
        )
        reasons = await self._reasons.of(user_id, listed.rows)
        views = [SummaryView(job, reasons.get(job.id)) for job in listed.rows]
        return views, pagination.next_cursor(listed)

    async def unfinished(self, user_id: str) -> AsyncIterator[list[UnfinishedJob]]:
        """Yield a user's jobs that have not ended, oldest first, some at a time."""
        job_ids = await queries.unfinished_ids(self._db.pool, user_id=user_id)
        for start in range(0, len(job_ids), UNFINISHED_AT_ONCE):
            part = job_ids[start : start + UNFINISHED_AT_ONCE]
            jobs = await queries.unfinished(self._db.pool, part)
            reasons = await self._reasons.of(user_id, jobs)
            nodes = await self._nodes_of([job.id for job in jobs if job.status == "running"])
            yield [UnfinishedJob(job, reasons.get(job.id), nodes[job.id]) for job in jobs]

    async def _nodes_of(self, job_ids: Sequence[str]) -> defaultdict[str, list[NodeRecord]]:
        """Return the nodes of jobs; queued jobs have none."""
        nodes: defaultdict[str, list[NodeRecord]] = defaultdict(list)
        if job_ids:
            for job_id, node in await node_queries.of_jobs(self._db.pool, job_ids):
                nodes[job_id].append(node)
        return nodes

    async def delete(self, user_id: str, job_id: str) -> None:
        """Delete an ended job and its events.

        Raises:
            JobNotFound: It does not exist or belongs to another user.
            JobNotEnded: It has not ended.
        """
        async with self._db.transaction() as on:
            job = await job_queries.lock(on, job_id, user_id=user_id)
            if job is None:
                raise JobNotFound(job_id)
            if job.status not in ENDED:
                raise JobNotEnded(job_id)
            await queries.delete(on, job_id)
            await event_queries.delete_all(on, [job_id])

    async def _enqueue(
        self, principal: Principal, spec: JobSpec, key: IdempotencyKey
    ) -> CreatedJob:
        await self._quota.check(principal.user_id)
        job = _new_job(principal, spec)
        if principal.job_id is None and not key.is_given:
            enqueued = await self._enqueuer.enqueue(job)
        else:

            async def complete(on: Connection, job_ids: Sequence[str]) -> None:
                await key.complete(on, job_ids[0])

            (enqueued,) = await self._enqueue_within(principal, [job], complete)
        record = enqueued.record if enqueued.starts_soon else None
        return CreatedJob(job.id, is_replay=False, record=record)

    async def _enqueue_within(
        self,
        principal: Principal,
        jobs: Sequence[NewJob],
        complete: Callable[[Connection, Sequence[str]], Awaitable[None]],
    ) -> list[EnqueuedJob]:
        """Enqueue jobs as children and complete their idempotency key, in one transaction."""
        async with self._enqueuer.transaction() as transaction:
            depth = await _depth(transaction.connection, principal.job_id)
            enqueued = await transaction.enqueue_all([replace(job, depth=depth) for job in jobs])
            await complete(transaction.connection, [job.id for job in jobs])
        return enqueued


def _new_job(principal: Principal, spec: JobSpec) -> NewJob:
    return NewJob(
        id=new_id(),
        user_id=principal.user_id,
        parent_job_id=principal.job_id,
        depth=0,
        traceparent=traceparent.get(),
        spec=spec,
    )


async def _depth(on: Connection, parent_id: str | None) -> int:
    """Return the depth of a new job, and lock its parent so that it cannot end before the commit.

    Raises:
        ParentEnded: The parent has ended or is being cancelled.
        TooDeep: The job would have more than `MAX_DEPTH` ancestors.
    """
    if parent_id is None:
        return 0
    parent = await queries.lock_parent(on, parent_id)
    if parent is None or parent.status != "running" or parent.cancel_requested_at:
        raise ParentEnded(parent_id)
    if parent.depth >= MAX_DEPTH:
        raise TooDeep
    return parent.depth + 1
