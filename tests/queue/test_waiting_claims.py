"""Tests of new jobs that are leased at once to a waiting claim, by the rules of the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from app.queue.waiting_claims import WaitingClaims
from tests.support.jobs import HandWorker, HeldJob, events_of, get, graph, owner, start, worker_of
from tests.support.services import WAIT_S, Service, User, eventually


async def have_looked(service: Service, count: int) -> None:
    """Wait until that many claims are waiting after they found no job."""

    async def holds() -> bool:
        return [claim.has_polled for claim in service.get(WaitingClaims)].count(True) == count

    await eventually(holds)


async def waiting(
    service: Service, worker: HandWorker, *, max_jobs: int = 1, count: int = 1
) -> asyncio.Task[list[HeldJob]]:
    claim = asyncio.create_task(worker.claim(wait_s=60, max_jobs=max_jobs))
    await have_looked(service, count)
    return claim


async def was_handed(user: User, job_id: str) -> bool:
    """Return True if the first two events of a job were stored by one statement."""
    first, second = (await events_of(user, job_id))[:2]
    assert [first["status"], second["status"]] == ["queued", "running"]
    assert [first["seq"], second["seq"]] == [1, 2]
    return bool(first["time"] == second["time"])


async def test_a_new_job_goes_straight_to_a_claim_that_waits(service: Service) -> None:
    async with owner(service) as user:
        worker = await worker_of(user)
        claim = await waiting(service, worker)
        params = {"a": "\x00", "b": [1, {"c": None}]}
        made = await start(user, params=params, timeout_s=50, max_attempts=7, priority=3)
        [held] = await claim
        assert (made["status"], made["started_at"], made["worker_id"]) == ("queued", None, None)
        assert await was_handed(user, held.id)
        job = await get(user, made["id"])
        assert held.job == job
        assert (job["status"], job["worker_id"]) == ("running", worker.id)
        assert job["started_at"] == job["created_at"] == made["created_at"]
        assert (job["params"], job["timeout_s"], job["max_attempts"]) == (params, 50, 7)
        assert held.expires_at > job["started_at"]
        accepted = await held.complete(x=1)
        assert accepted["last_seq"] == 3
        assert (await get(user, held.id))["result"] == {"x": 1}


async def test_a_job_with_a_key_is_handed_and_replayed_once(service: Service) -> None:
    async with owner(service) as user:
        claim = await waiting(service, await worker_of(user))
        key = {"Idempotency-Key": "k"}
        replies = [
            await user.http.post("/v1/jobs", json={"graph": graph()}, headers=key) for _ in range(2)
        ]
        [held] = await claim
        assert [reply.json()["id"] for reply in replies] == [held.id] * 2
        assert replies[1].headers["idempotent-replay"] == "true"
        assert await was_handed(user, held.id)


async def test_a_child_is_handed_with_its_parent(service: Service) -> None:
    async with owner(service) as user:
        worker = await worker_of(user)
        await start(user)
        parent = await worker.take()
        claim = await waiting(service, worker)
        reply = await user.http.post("/v1/jobs", json={"graph": graph()}, headers=parent.headers)
        [child] = await claim
        assert reply.json()["parent_job_id"] == child.job["parent_job_id"] == parent.id
        assert await was_handed(user, child.id)


async def test_jobs_of_a_batch_are_shared_by_the_claims_that_wait(service: Service) -> None:
    async with owner(service) as user:
        workers = [await worker_of(user) for _ in range(2)]
        claims = [
            await waiting(service, worker, max_jobs=most, count=count)
            for count, (worker, most) in enumerate(zip(workers, (4, 2), strict=True), 1)
        ]
        body = {"jobs": [{"graph": graph()} for _ in range(7)]}
        made = (await user.http.post("/v1/jobs/batch", json=body)).json()["jobs"]
        held = [await claim for claim in claims]
        assert sorted(len(each) for each in held) == [2, 4]
        got = {lease.id for each in held for lease in each}
        assert got == {job["id"] for job in made[:6]}
        assert (await get(user, made[6]["id"]))["status"] == "queued"


async def test_who_waited_first_comes_first_also_where_the_later_job_finds_a_claim(
    service: Service,
) -> None:
    async with owner(service) as user:
        other = await start(user, graph=graph("test.Other"))
        worker = await worker_of(user, node_types=["test.Node"])
        claim = await waiting(service, worker)
        made = await start(user)  # the user has a queued job, so this one is queued too
        [held] = await claim
        assert held.id == made["id"]
        assert not await was_handed(user, held.id)
        assert (await get(user, other["id"]))["status"] == "queued"


async def test_a_job_for_later_is_not_handed(service: Service) -> None:
    async with owner(service) as user:
        claim = await waiting(service, await worker_of(user))
        later = await start(user, run_at="2999-01-01T00:00:00Z")
        now = await start(user, run_at="2001-01-01T00:00:00Z")
        [held] = await claim
        assert held.id == now["id"]
        assert (await get(user, later["id"]))["status"] == "queued"


async def test_no_more_are_handed_than_a_user_may_run(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(max_running_jobs_per_user=2)
    async with owner(service) as user:
        worker = await worker_of(user)
        claim = await waiting(service, worker, max_jobs=5)
        body = {"jobs": [{"graph": graph()} for _ in range(4)]}
        made = (await user.http.post("/v1/jobs/batch", json=body)).json()["jobs"]
        held = await claim
        assert [lease.id for lease in held] == [job["id"] for job in made[:2]]
        for lease in held:
            await lease.heartbeat()
        assert await worker.claim(max_jobs=5) == []
        await held[0].complete()
        [third] = await worker.claim(max_jobs=5)
        assert third.id == made[2]["id"]


async def test_a_claim_of_a_worker_that_drains_is_not_handed_a_job(
    start_service: Callable[..., Service],
) -> None:
    """The replica that has the claim has not heard of it: the statement has."""
    one = start_service()
    two = start_service(like=one)
    async with owner(one) as user, two.client(user.token) as elsewhere:
        worker = await worker_of(user)
        claim = asyncio.create_task(worker.claim(wait_s=5))
        await have_looked(one, 1)
        path = f"/v1/workers/{worker.id}/heartbeat"
        (await elsewhere.post(path, json={"draining": True})).raise_for_status()
        job = await start(user)
        assert await claim == []
        assert (await get(user, job["id"]))["status"] == "queued"


async def test_a_job_handed_to_nobody_any_more_goes_back_to_the_queue(service: Service) -> None:
    async with owner(service) as user:
        worker = await worker_of(user)
        path = f"/v1/workers/{worker.id}/claim"
        async with service.client(user.token) as leaving:
            claim = asyncio.create_task(leaving.post(path, json={"wait_s": 60}))
            await have_looked(service, 1)
            [waiting_claim] = service.get(WaitingClaims)
            job = await start(user)
            claim.cancel()  # together with its connection
            await asyncio.gather(claim, return_exceptions=True)
        assert waiting_claim not in service.get(WaitingClaims)
        # Whether or not the answer was still sent: it was never confirmed, and is handed out again.
        [again] = await worker.claim(wait_s=WAIT_S / 2)
        assert again.id == job["id"]
        assert again.attempt == 1


async def test_a_lease_of_a_handed_job_that_runs_out_is_lost_like_any_other(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(lease_ttl_s=2, heartbeat_interval_s=0.5)
    async with owner(service) as user:
        claim = await waiting(service, await worker_of(user))
        await start(user)
        [held] = await claim
        other = await worker_of(user)
        [again] = await other.claim(wait_s=WAIT_S / 2)
        assert (again.id, again.attempt) == (held.id, 1)  # never confirmed: no attempt counted
        refused = await held.send({"type": "log", "level": "info", "message": "late"})
        assert (refused.status_code, refused.json()["code"]) == (409, "lease_lost")


async def test_what_cannot_be_made_leaves_the_claim_waiting(service: Service) -> None:
    async with owner(service) as user:
        worker = await worker_of(user)
        claim = await waiting(service, worker)
        reply = await _made_below_nothing(service, user)
        assert reply.status_code in (401, 409)
        assert not claim.done()
        job = await start(user)
        [held] = await claim
        assert held.id == job["id"]


async def _made_below_nothing(service: Service, user: User) -> httpx.Response:
    """Ask for a child of a job that has ended."""
    other = await worker_of(user, capabilities=["mine"])
    await start(user, required_capabilities=["mine"])
    parent = await other.take()
    await parent.complete()
    body: dict[str, Any] = {"graph": graph()}
    async with service.client(parent.token) as child:
        return await child.post("/v1/jobs", json=body)
