"""Tests of child jobs."""

from __future__ import annotations

from tests.support.jobs import get, graph, held_job, owner, refusal, start, worker_of
from tests.support.services import Service


async def test_children_are_cancelled_with_their_parent(service: Service) -> None:
    async with owner(service) as user:
        parent = await held_job(user)
        reply = await user.http.post("/v1/jobs", json={"graph": graph()}, headers=parent.headers)
        running = reply.json()
        assert running["parent_job_id"] == parent.id
        held = await (await worker_of(user)).take()
        grandchild = (
            await user.http.post("/v1/jobs", json={"graph": graph()}, headers=held.headers)
        ).json()
        waiting = (
            await user.http.post("/v1/jobs", json={"graph": graph()}, headers=parent.headers)
        ).json()
        assert (await user.http.post(f"/v1/jobs/{parent.id}/cancel")).status_code == 200
        assert (await held.heartbeat()).json()["cancel_requested"] is True
        assert (await get(user, waiting["id"]))["status"] == "cancelled"
        assert (await get(user, grandchild["id"]))["status"] == "cancelled"
        late = await user.http.post("/v1/jobs", json={"graph": graph()}, headers=held.headers)
        assert refusal(late) == (409, "job_ended")


async def test_a_child_outlives_a_parent_that_completes(service: Service) -> None:
    async with owner(service) as user:
        parent = await held_job(user)
        reply = await user.http.post("/v1/jobs", json={"graph": graph()}, headers=parent.headers)
        await parent.complete()
        assert (await get(user, reply.json()["id"]))["status"] == "queued"


async def test_jobs_are_eight_deep_at_most(service: Service) -> None:
    async with owner(service) as user:
        worker = await worker_of(user)
        await start(user)
        held = await worker.take()
        for _ in range(8):
            reply = await user.http.post("/v1/jobs", json={"graph": graph()}, headers=held.headers)
            assert reply.status_code == 202, reply.text
            held = await worker.take()
        reply = await user.http.post("/v1/jobs", json={"graph": graph()}, headers=held.headers)
        assert refusal(reply) == (422, "too_deep")
