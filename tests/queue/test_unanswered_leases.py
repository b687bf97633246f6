"""Tests of jobs whose workers die before they send anything."""

from __future__ import annotations

from app.queue.reaper import MAX_UNANSWERED
from tests.support.jobs import get, let_lease_run_out, owner, start, status_is, worker_of
from tests.support.services import Service


async def test_a_job_that_kills_each_worker_at_once_fails_in_the_end(
    service: Service,
) -> None:
    async with owner(service) as user:
        job = await start(user, max_attempts=2)
        worker = await worker_of(user)
        attempts = []
        for _ in range(MAX_UNANSWERED + 2):
            [held] = await worker.claim(wait_s=30)
            attempts.append((await get(user, job["id"]))["attempt"])
            await let_lease_run_out(service, held.id)
        assert attempts == [1] * (MAX_UNANSWERED + 1) + [2]
        await status_is(user, job["id"], "failed")
        assert (await get(user, job["id"]))["error"]["code"] == "worker_lost"
