"""Jobs of one user: make them, look at them, cancel, run again, delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import asyncpg

from app.core.auth import Principal
from app.core.context import traceparent
from app.core.db import Connection, Database, dumps
from app.core.idempotency import Once, fingerprint_of
from app.core.ids import is_id, new_id
from app.core.pagination import Page, encode_cursor
from app.events import queries as event_queries
from app.events.hub import Hub
from app.jobs import creating, queries
from app.jobs.creating import Made, NewJob, Origin, needs, row_of
from app.jobs.errors import JobEnded, JobNotEnded, JobNotFound, JobNotRetryable, TooDeep
from app.jobs.ledger import Ledgers
from app.jobs.schemas import dumps as json_of
from app.jobs.schemas import job_json, job_out, summary_out
from app.jobs.waiting import waiting_reason
from app.settings import Settings
from app.webhooks.service import Webhooks
from app.workers.service import Workers
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
        workers: Workers,
        webhooks: Webhooks,
        settings: Settings,
    ) -> None:
        self._db = db
        self._hub = hub
        self._ledgers = ledgers
        self._workers = workers
        self._webhooks = webhooks
        self._user_limit = settings.max_running_jobs_per_user

    async def create(self, principal: Principal, request: RunJobRequest, once: Once) -> Made:
        """Put a job into the queue; with a lease's token it is a child of that lease's job.

        Raises:
            WorkflowNotFound: The workflow is not for the user.
            InvalidGraph: The graph cannot be run.
            TooDeep: It would be a child of the ninth degree.
            JobEnded: The parent has ended.
            UrlNotAllowed: Its webhook leads to where the service does not go.
        """
        made = await once.begin(fingerprint_of(request)) if once.has_key else None
        if made is not None:
            return Made(made, is_replay=True)
        new = await self._resolve(principal.user_id, request)
        return await self._insert(principal, new, once)

    async def retry(self, principal: Principal, job_id: str, once: Once) -> Made:
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

    async def _resolve(self, user_id: str, request: RunJobRequest) -> NewJob:
        version = None
        if request.graph is not None:
            check_graph(request.graph)
            graph = request.graph.model_dump_json()
            node_types = sorted({node.type for node in request.graph.nodes})
        else:
            async with self._db.session() as session:
                workflows = WorkflowService(session, user_id=user_id)
                row = await workflows.get(request.workflow_id or "")
                graph, version = dumps(row.graph), row.version
            node_types = sorted({node["type"] for node in row.graph["nodes"]})
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

    async def _insert(self, principal: Principal, new: NewJob, once: Once) -> Made:
        origin = Origin(new_id(), principal.user_id, principal.job_id, 0, traceparent.get())
        if principal.job_id is None and not once.has_key:
            row = await self._store(self._db.pool, origin, new)
        else:
            async with self._db.transaction() as on:
                origin = replace(origin, depth=await _depth(on, principal.job_id))
                row = await self._store(on, origin, new)
                await once.done(on, origin.job_id)
        now = row["now"]
        self._ledgers.spread([creating.queued(origin, now)], queued=needs(origin, new, now))
        is_waited_for = row["can_run"] and row["has_room"]
        return Made(
            origin.job_id,
            is_replay=False,
            row=row_of(origin, new, now) if is_waited_for else None,
        )

    async def _store(self, on: queries.On, origin: Origin, new: NewJob) -> asyncpg.Record:
        return await creating.insert(
            on,
            origin,
            new,
            lost_after_s=self._workers.lost_after_s,
            user_limit=self._user_limit,
        )

    async def _summaries(self, user_id: str, rows: Sequence[asyncpg.Record]) -> list[Job]:
        reasons = await self._waiting_reasons(user_id, rows)
        return [summary_out(row, waiting_reason=reasons.get(row["id"])) for row in rows]

    async def _waiting_reasons(
        self, user_id: str, rows: Sequence[asyncpg.Record]
    ) -> dict[str, str | None]:
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
