"""Jobs of one user: make them, look at them, cancel, run again, delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import asyncpg

from app.database.engine import Database, dumps, loads
from app.database.statement import Connection
from app.events import queries as event_queries
from app.events.broadcaster import Hub
from app.http.auth import Principal
from app.http.idempotency.keys import BatchIdempotencyKey, IdempotencyKey, fingerprint_of
from app.http.pagination import Page, encode_cursor
from app.http.problems import ProblemError
from app.jobs import queries
from app.jobs.errors import JobEnded, JobNotEnded, JobNotFound, JobNotRetryable, TooDeep
from app.jobs.queue_reason import waiting_reason
from app.jobs.schemas import Row, job_json, job_out, summary_out
from app.jobs.schemas import dumps as json_of
from app.queue.enqueue import Makings
from app.queue.enqueue_queries import Made, NewJob, Origin, row_of
from app.queue.transitions import Ledgers
from app.runtime.ids import is_id, new_id
from app.runtime.request_context import traceparent
from app.settings import Settings
from app.webhooks.service import WebhookService
from app.workers.service import WorkerService
from app.workflows.graphs import check_graph
from app.workflows.service import WorkflowService
from processing_context.wire.jobs import ENDED, Job, RunJobRequest

MAX_DEPTH = 8


class Jobs:
    """The jobs of all users; each call names the one it is for."""

    def __init__(
        self,
        db: Database,
        hub: Hub,
        ledgers: Ledgers,
        makings: Makings,
        workers: WorkerService,
        webhooks: WebhookService,
        workflows: WorkflowService,
        settings: Settings,
    ) -> None:
        self._db = db
        self._hub = hub
        self._ledgers = ledgers
        self._makings = makings
        self._workers = workers
        self._webhooks = webhooks
        self._workflows = workflows
        self._user_limit = settings.max_running_jobs_per_user

    async def create(
        self, principal: Principal, request: RunJobRequest, once: IdempotencyKey
    ) -> Made:
        """Put a job into the queue; with a lease's token it is a child of that lease's job.

        Raises:
            WorkflowNotFound: The workflow is not for the user.
            InvalidGraph: The graph cannot be run.
            TooDeep: It would be a child of the ninth degree.
            JobEnded: The parent has ended.
            UrlNotAllowed: Its webhook leads to where the service does not go.
        """
        made = await once.begin(fingerprint_of(request)) if once.is_given else None
        if made is not None:
            return Made(made, is_replay=True)
        new = await self._resolve(principal.user_id, request)
        return await self._insert(principal, new, once)

    async def create_all(
        self, principal: Principal, requests: Sequence[RunJobRequest], once: BatchIdempotencyKey
    ) -> tuple[list[dict[str, Any]], bool]:
        """Put many jobs into the queue, all of them or none.

        Returns:
            Each as it travels, and whether an earlier request with the same key made them.

        Raises:
            ProblemError: What `create` would raise for one of them; its text says which.
        """
        if once.is_given:
            made = await once.begin(fingerprint_of(*requests), len(requests))
            if made is not None:
                found = [await self._find(principal.user_id, job_id) for job_id in made]
                return [job_json(*each) for each in found], True
        new = await self._resolve_all(principal.user_id, requests)
        jobs = [(_origin(principal), each) for each in new]
        if principal.job_id is None and not once.is_given:
            rows = await self._makings.make_all(jobs)
        else:
            rows = await self._make_within(principal, jobs, once.complete)
        made_rows = [
            row_of(origin, each, row["now"]) for (origin, each), row in zip(jobs, rows, strict=True)
        ]
        waiting = [
            row
            for row, is_waited_for in zip(made_rows, map(_is_waited_for, rows), strict=True)
            if not is_waited_for
        ]
        reasons = await self._waiting_reasons(principal.user_id, waiting)
        return [job_json(row, reasons.get(row["id"])) for row in made_rows], False

    async def retry(self, principal: Principal, job_id: str, once: IdempotencyKey) -> Made:
        """Run a failed or cancelled job again, as a new job.

        Raises:
            JobNotFound: It does not exist or is another user's.
            JobNotRetryable: It has not failed and was not cancelled.
        """
        made = await once.begin(fingerprint_of(job_id))
        if made is not None:
            return Made(made, is_replay=True)
        row = await queries.source(self._db.pool, job_id, user_id=principal.user_id)
        if row is None:
            raise JobNotFound
        fields = dict(row)
        if fields.pop("status") not in ("failed", "cancelled"):
            raise JobNotRetryable
        return await self._insert(principal, NewJob(**fields), once)

    async def get(self, user_id: str, job_id: str) -> Job:
        """Return one job.

        Raises:
            JobNotFound: It does not exist or is another user's.
        """
        return job_out(*await self._find(user_id, job_id))

    async def get_json(self, user_id: str, job_id: str) -> bytes:
        """Return one job as it travels.

        Raises:
            JobNotFound: It does not exist or is another user's.
        """
        return json_of(job_json(*await self._find(user_id, job_id)))

    async def _find(self, user_id: str, job_id: str) -> tuple[asyncpg.Record, str | None]:
        """Return one job, and why it waits."""
        row = await queries.get(self._db.pool, job_id, user_id=user_id)
        if row is None:
            raise JobNotFound
        return row, (await self._waiting_reasons(user_id, [row])).get(job_id)

    async def state(self, user_id: str, job_id: str) -> tuple[int, bool]:
        """Return the last `seq` of a job and whether it has ended.

        Raises:
            JobNotFound: It does not exist or is another user's.
        """
        row = await queries.status(self._db.pool, job_id, user_id=user_id)
        if row is None:
            raise JobNotFound
        return row["last_seq"], row["status"] in ENDED

    async def page(
        self, user_id: str, page: Page, *, status: str | None, workflow_id: str | None
    ) -> tuple[list[Job], str | None]:
        """Return a page of a user's jobs and the next cursor."""
        if workflow_id is not None and not is_id(workflow_id):
            return [], None
        rows = await queries.newest(
            self._db.pool,
            user_id=user_id,
            status=status,
            workflow_id=workflow_id,
            after=page.after,
            limit=page.size + 1,
        )
        shown = rows[: page.size]
        following = encode_cursor(shown[-1]["id"]) if len(rows) > page.size else None
        return await self._summaries(user_id, shown), following

    async def unfinished(self, user_id: str) -> list[tuple[Job, int]]:
        """Return a user's jobs that have not ended, oldest first, each with its last `seq`."""
        rows = await queries.unfinished(self._db.pool, user_id=user_id)
        jobs = await self._summaries(user_id, rows)
        return [(job, row["last_seq"]) for job, row in zip(jobs, rows, strict=True)]

    async def cancel(self, user_id: str, job_id: str) -> Job:
        """Cancel a job in any state; what has ended stays as it is.

        Raises:
            JobNotFound: It does not exist or is another user's.
        """
        async with self._ledgers.open() as ledger:
            await ledger.cancel(await _locked(ledger.connection, user_id, job_id))
        return await self.get(user_id, job_id)

    async def delete(self, user_id: str, job_id: str) -> None:
        """Delete an ended job and its events.

        Raises:
            JobNotFound: It does not exist or is another user's.
            JobNotEnded: It has not ended.
        """
        async with self._ledgers.open() as ledger:
            job = await _locked(ledger.connection, user_id, job_id)
            if job["status"] not in ENDED:
                raise JobNotEnded
            await queries.delete(ledger.connection, job_id)
            await event_queries.delete(ledger.connection, job_id)

    async def _resolve_all(self, user_id: str, requests: Sequence[RunJobRequest]) -> list[NewJob]:
        new = []
        for number, request in enumerate(requests):
            try:
                new.append(await self._resolve(user_id, request))
            except ProblemError as problem:
                problem.detail = f"jobs.{number}: {problem.detail}"
                raise
        return new

    async def _resolve(self, user_id: str, request: RunJobRequest) -> NewJob:
        version = None
        if request.graph is not None:
            check_graph(request.graph)
            graph = request.graph.model_dump_json()
            node_types = sorted({node.type for node in request.graph.nodes})
        else:
            workflow = await self._workflows.get(user_id, request.workflow_id or "")
            graph, version = workflow.graph, workflow.version
            node_types = sorted({node["type"] for node in loads(graph)["nodes"]})
        webhook = request.webhook
        return NewJob(
            workflow_id=request.workflow_id,
            workflow_version=version,
            job_type=request.job_type,
            params=dumps(request.params),
            graph=graph,
            priority=request.priority,
            required_capabilities=sorted(set(request.required_capabilities)),
            node_types=node_types,
            timeout_s=request.timeout_s,
            max_attempts=request.max_attempts,
            webhook=await self._webhooks.accept(user_id, webhook) if webhook else None,
            run_at=request.run_at,
        )

    async def _insert(self, principal: Principal, new: NewJob, once: IdempotencyKey) -> Made:
        origin = _origin(principal)
        if principal.job_id is None and not once.is_given:
            row = await self._makings.make(origin, new)
        else:

            async def done(on: Connection, job_ids: Sequence[str]) -> None:
                await once.complete(on, job_ids[0])

            (row,) = await self._make_within(principal, [(origin, new)], done)
        return Made(
            origin.job_id,
            is_replay=False,
            row=row_of(origin, new, row["now"]) if _is_waited_for(row) else None,
        )

    async def _make_within(
        self,
        principal: Principal,
        jobs: Sequence[tuple[Origin, NewJob]],
        done: Callable[[Connection, Sequence[str]], Awaitable[None]],
    ) -> Sequence[asyncpg.Record]:
        """Make jobs below their parent, and in the same transaction write down that it is done."""
        with ExitStack() as held:
            async with self._db.transaction() as on:
                depth = await _depth(on, principal.job_id)
                placed = [(replace(origin, depth=depth), new) for origin, new in jobs]
                making = held.enter_context(self._makings.making(placed))
                rows = await self._makings.store(on, making)
                await done(on, [origin.job_id for origin, _ in jobs])
            self._makings.tell(making)
        return rows

    async def _summaries(self, user_id: str, rows: Sequence[asyncpg.Record]) -> list[Job]:
        reasons = await self._waiting_reasons(user_id, rows)
        return [summary_out(row, waiting_reason=reasons.get(row["id"])) for row in rows]

    async def _waiting_reasons(self, user_id: str, rows: Sequence[Row]) -> dict[str, str | None]:
        queued = [row for row in rows if row["status"] == "queued"]
        if not queued:
            return {}
        workers = await self._workers.active(user_id)
        running = await queries.running(self._db.pool, user_id=user_id)
        at_limit = (
            f"The limit of {self._user_limit} running jobs is reached."
            if running >= self._user_limit
            else None
        )
        return {
            row["id"]: waiting_reason(row["required_capabilities"], row["node_types"], workers)
            or at_limit
            for row in queued
        }


def _origin(principal: Principal) -> Origin:
    return Origin(new_id(), principal.user_id, principal.job_id, 0, traceparent.get())


def _is_waited_for(row: asyncpg.Record) -> bool:
    """Whether a job that was made runs soon, so that nothing is to be said of why it waits."""
    return bool(row["can_run"] and row["has_room"])


async def _locked(on: Connection, user_id: str, job_id: str) -> asyncpg.Record:
    row = await queries.lock(on, job_id, user_id=user_id)
    if row is None:
        raise JobNotFound
    return row


async def _depth(on: Connection, parent_id: str | None) -> int:
    """Return how deep a new job is; its parent cannot end before it is stored."""
    if parent_id is None:
        return 0
    parent = await queries.hold_parent(on, parent_id)
    if parent is None or parent["status"] != "running" or parent["cancel_requested_at"]:
        raise JobEnded("The job that this one would belong to has ended or is being cancelled.")
    depth: int = parent["depth"] + 1
    if depth > MAX_DEPTH:
        raise TooDeep
    return depth
