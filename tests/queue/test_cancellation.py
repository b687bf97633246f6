"""Tests of the cancellation of jobs in each state."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.jobs import (
    LOG,
    events_of,
    get,
    held_job,
    let_lease_run_out,
    owner,
    refusal,
    start,
    status_is,
    worker_of,
)
from tests.support.services import Service


async def test_a_queued_job_is_cancelled_at_once(service: Service) -> None:
    async with owner(service) as user:
        job = await start(user)
        for _ in range(2):
            reply = await user.http.post(f"/v1/jobs/{job['id']}/cancel")
            assert (reply.status_code, reply.json()["status"]) == (200, "cancelled")
            assert reply.json()["cancel_requested"] is True
        assert await (await worker_of(user)).claim() == []
        assert (await events_of(user, job["id"]))[-1]["status"] == "cancelled"


async def test_a_running_job_is_cancelled_by_its_worker(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        reply = (await user.http.post(f"/v1/jobs/{held.id}/cancel")).json()
        assert (reply["status"], reply["cancel_requested"]) == ("running", True)
        assert (await held.heartbeat()).json()["cancel_requested"] is True
        assert (await held.post(LOG))["cancel_requested"] is True
        await held.post({"type": "job_update", "status": "cancelled"})
        job = await get(user, held.id)
        assert (job["status"], job["error"]["code"]) == ("cancelled", "cancelled")


async def test_an_end_that_comes_before_the_cancel_took_effect_counts(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        await user.http.post(f"/v1/jobs/{held.id}/cancel")
        await held.complete(n=1)
        reply = (await user.http.post(f"/v1/jobs/{held.id}/cancel")).json()
        assert (reply["status"], reply["result"]) == ("completed", {"n": 1})


async def test_a_cancel_that_nobody_answers_takes_effect_after_the_grace_time(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(lease_ttl_s=30, heartbeat_interval_s=10, cancel_grace_s=0.5)
    async with owner(service) as user:
        held = await held_job(user)
        await user.http.post(f"/v1/jobs/{held.id}/cancel")
        await held.heartbeat()
        await status_is(user, held.id, "cancelled")
        assert refusal(await held.send(LOG)) == (409, "job_ended")


async def test_a_cancelled_job_is_never_queued_again(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        await user.http.post(f"/v1/jobs/{held.id}/cancel")
        await let_lease_run_out(service, held.id)
        assert (await get(user, held.id))["status"] == "cancelled"
