"""Benchmark of the statements that claim and end a job, against those of procrastinate."""

from __future__ import annotations

import time

import asyncpg
import orjson
from procrastinate import App
from procrastinate.jobs import Status

from app.database.engine import Database, connect_args
from app.events.event_batch import PostedBatch, read_batch
from app.events.ingest import store_batches
from app.http.auth import JOB_PREFIX, hash_token, new_token
from app.queue import claim_queries
from app.queue.claim import COMMIT_MARGIN
from app.queue.claim_queries import Claimed
from app.queue.lanes import QueueLanes
from app.queue.user_turns import UserTurns
from app.workers.service import Claimant, WorkerCapabilities
from scripts.benchmarks import procrastinate_queue
from scripts.benchmarks.claim_conditions import fill
from scripts.benchmarks.manual_worker import ManualWorker, new_user
from scripts.benchmarks.requests import Connection
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn

QUEUED = 10_000
JOBS_A_ROUND = 500
ROUNDS = 5
TTL_S = 30
USER_LIMIT = 1000
_END = [{"client_seq": 1, "type": "job_update", "status": "completed", "result": {}}]


async def rows(stack: Stack, _: int) -> list[Row]:
    """Measure jobs that one connection claims and ends, one after the other."""
    queue_url = await procrastinate_queue.create(stack.database_url)
    pool = await asyncpg.create_pool(**connect_args(stack.database_url), min_size=1, max_size=1)
    db = Database(stack.database_url, 2)
    await db.open()
    async with (
        pool,
        Connection(stack.url, stack.token) as admin,
        procrastinate_queue.app(queue_url).open_async() as app,
    ):
        user_id, token = await new_user(admin, "statements")
        async with Connection(stack.url, token) as api:
            worker_id = (await ManualWorker.of(api)).id
        await fill(pool, [user_id], QUEUED)
        await app.configure_task("noop").batch_defer_async(*[{} for _ in range(QUEUED)])
        await pool.execute("analyze jobs")
        ours = _Statements(db, worker_id, user_id)
        theirs = _Procrastinate(app, await app.job_manager.register_worker())
        rate, baseline, ratio = await in_turn(ours.rate, theirs.rate, rounds=ROUNDS)
    await db.close()
    return [
        Row(
            "claim and end of a job, statement to statement / procrastinate",
            f"{rate:.0f}/s",
            f"{baseline:.0f}/s",
            f"{ratio:.2f}",
        )
    ]


class _Statements:
    """The statements of the service, on its kind of pool."""

    def __init__(self, db: Database, worker_id: str, user_id: str) -> None:
        self._db = db
        self._user_id = user_id
        self._claimant = Claimant(
            worker_id, user_id, WorkerCapabilities(frozenset(), None), is_draining=False
        )
        self._turns = UserTurns(db, user_limit=USER_LIMIT)
        self._lanes = QueueLanes(db)
        self._last: Claimed | None = None

    async def rate(self) -> float:
        """Return the jobs per second."""
        began = time.perf_counter()
        for _ in range(JOBS_A_ROUND):
            await self._run_one()
        return JOBS_A_ROUND / (time.perf_counter() - began)

    async def _run_one(self) -> None:
        await self._lanes.raise_due()
        token = hash_token(new_token(JOB_PREFIX))
        claimed = await claim_queries.claim(
            self._db.pool,
            self._claimant,
            [token],
            [self._turns.of(self._user_id, max_jobs=1)],
            user_limit=USER_LIMIT,
            ttl_s=TTL_S,
            redeliver_first=True,
            confirmed_until=self._last.asked_at - COMMIT_MARGIN if self._last else None,
        )
        if claimed is None or not claimed.jobs:
            raise RuntimeError("a claim returned no job")
        self._last = claimed
        self._lanes.record_leased([self._user_id])
        job_id = claimed.jobs[0].job.id
        events = read_batch(orjson.loads(orjson.dumps(_END)), job_id=job_id, max_event_bytes=65536)
        batch = PostedBatch.of(job_id, token, events)
        (stored,) = await store_batches(self._db.pool, [batch], ttl_s=TTL_S)
        if stored is None:
            raise RuntimeError("the end of a job was not stored")


class _Procrastinate:
    """The statements of procrastinate."""

    def __init__(self, app: App, worker_id: int) -> None:
        self._jobs = app.job_manager
        self._worker_id = worker_id

    async def rate(self) -> float:
        """Return the jobs per second."""
        began = time.perf_counter()
        for _ in range(JOBS_A_ROUND):
            job = await self._jobs.fetch_job(None, self._worker_id)
            if job is None:
                raise RuntimeError("procrastinate returned no job")
            await self._jobs.finish_job(job, Status.SUCCEEDED, delete_job=False)
        return JOBS_A_ROUND / (time.perf_counter() - began)
