"""Tests of claims: the selection of jobs for workers, and waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from app.queue.domain import tasks
from app.queue.waiting_claims import WaitingClaims
from tests.support.jobs import HandWorker, get, graph, owner, start, worker_of
from tests.support.services import Service, eventually, with_domain


async def are_waiting(service: Service, count: int) -> None:
    """Wait until that many claims are waiting."""

    async def holds() -> bool:
        return len(service.get(WaitingClaims)) == count

    await eventually(holds)


@pytest.fixture
def unpolled(start_service: Callable[..., Service]) -> Service:
    """A service whose waiting claims look for jobs only when they are notified."""
    return start_service(
        domains=with_domain("queue", tasks=partial(tasks, poll_interval_s=1e6)),
        heartbeat_interval_s=100,
        lease_ttl_s=300,
    )


async def test_a_waiting_claim_is_woken_by_a_new_job(unpolled: Service) -> None:
    async with owner(unpolled) as user:
        worker = await worker_of(user)
        waiting = asyncio.create_task(worker.claim(wait_s=50))
        await are_waiting(unpolled, 1)
        job = await start(user)
        [held] = await waiting
        assert held.id == job["id"]


async def test_a_claim_ends_empty_when_nothing_comes(service: Service) -> None:
    async with owner(service) as user:
        started = time.monotonic()
        assert await (await worker_of(user)).claim(wait_s=0.5) == []
        assert time.monotonic() - started > 0.4


async def test_many_workers_get_each_job_once(service: Service) -> None:
    async with owner(service) as user:
        ids = {(await start(user))["id"] for _ in range(40)}
        workers = [await worker_of(user) for _ in range(8)]

        async def drain(worker: HandWorker) -> list[str]:
            got: list[str] = []
            while held := await worker.claim(max_jobs=2):
                got += [lease.id for lease in held]
                await asyncio.gather(*(lease.complete() for lease in held))
            return got

        got = [job_id for part in await asyncio.gather(*map(drain, workers)) for job_id in part]
        assert sorted(got) == sorted(ids)


async def test_priority_comes_before_age_among_one_users_jobs(service: Service) -> None:
    async with owner(service) as user:
        ids = [(await start(user, priority=priority))["id"] for priority in (0, 5, -5, 5)]
        held = await (await worker_of(user)).claim(max_jobs=4)
        assert [lease.id for lease in held] == [ids[1], ids[3], ids[0], ids[2]]


async def test_users_take_turns(start_service: Callable[..., Service]) -> None:
    service = start_service()
    async with (
        owner(service) as busy,
        owner(service) as modest,
        await service.new_user(scopes=("user", "worker", "fleet")) as fleet,
    ):
        worker = await worker_of(fleet)
        for _ in range(6):
            await start(busy, priority=100)
        modest_ids = [(await start(modest))["id"] for _ in range(2)]
        held = await worker.claim(max_jobs=4)
        assert {lease.id for lease in held} > set(modest_ids)
        assert held[1].id == modest_ids[0]


async def test_a_worker_without_fleet_gets_its_owners_jobs_only(service: Service) -> None:
    async with owner(service) as user, owner(service) as stranger:
        await start(user)
        assert await (await worker_of(stranger)).claim() == []


async def test_only_the_token_that_registered_a_worker_speaks_for_it(service: Service) -> None:
    async with owner(service) as user, owner(service) as stranger:
        worker = await worker_of(user)
        reply = await stranger.http.post(f"/v1/workers/{worker.id}/claim", json={})
        assert reply.status_code == 404
        second = await service.new_token(user.id, ("user", "worker"))
        async with service.client(second) as http:
            for method, path in (("POST", "/claim"), ("POST", "/heartbeat"), ("DELETE", "")):
                body: dict[str, str] | None = None if method == "DELETE" else {}
                reply = await http.request(method, f"/v1/workers/{worker.id}{path}", json=body)
                assert reply.status_code == 403


async def test_a_job_waits_for_a_worker_with_its_capabilities_and_node_types(
    service: Service,
) -> None:
    async with owner(service) as user:
        job = await start(user, graph=graph("a.A", "b.B"), required_capabilities=["cuda"])
        reason = (await get(user, job["id"]))["waiting_reason"]
        assert "No worker is connected" in reason
        assert await (await worker_of(user, node_types=["a.A"])).claim() == []
        reason = (await get(user, job["id"]))["waiting_reason"]
        assert "b.B" in reason
        assert "a.A" not in reason
        assert "cuda" in reason
        assert await (await worker_of(user, node_types=["a.A", "b.B"])).claim() == []
        reason = (await get(user, job["id"]))["waiting_reason"]
        assert reason == "No worker has the capability cuda."
        able = await worker_of(user, capabilities=["cuda", "x"], node_types=["a.A", "b.B", "c.C"])
        assert (await get(user, job["id"]))["waiting_reason"] is None
        assert (await able.take()).id == job["id"]


async def test_a_waiting_claim_is_not_woken_for_nothing(unpolled: Service) -> None:
    """A job that the first waiting worker cannot run goes to the second at once."""
    async with owner(unpolled) as user:
        unable, able = await worker_of(user, node_types=["x.X"]), await worker_of(user)
        first = asyncio.create_task(unable.claim(wait_s=60))
        await are_waiting(unpolled, 1)
        second = asyncio.create_task(able.claim(wait_s=50))
        await are_waiting(unpolled, 2)
        await start(user)
        assert len(await second) == 1
        assert not first.done()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_the_limit_of_running_jobs_holds_and_is_told(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(max_running_jobs_per_user=2)
    async with owner(service) as user:
        for _ in range(3):
            await start(user)
        worker = await worker_of(user)
        held = await worker.claim(max_jobs=3)
        assert len(held) == 2
        await asyncio.gather(*(lease.heartbeat() for lease in held))
        jobs = (await user.http.get("/v1/jobs", params={"status": "queued"})).json()["jobs"]
        assert jobs[0]["waiting_reason"] == "The limit of 2 running jobs is reached."
        await held[0].complete()
        assert len(await worker.claim()) == 1


async def test_a_job_runs_when_its_time_has_come(service: Service) -> None:
    async with owner(service) as user:
        worker = await worker_of(user)
        await start(user, run_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
        assert await worker.claim() == []
        run_at = datetime.now(UTC) + timedelta(seconds=1)
        job = await start(user, run_at=run_at.isoformat())
        held = await worker.take(wait_s=50)
        assert held.id == job["id"]
        assert datetime.now(UTC) >= run_at


async def test_a_draining_worker_gets_nothing_until_it_says_otherwise(service: Service) -> None:
    async with owner(service) as user:
        worker = await worker_of(user)
        beat = f"/v1/workers/{worker.id}/heartbeat"
        assert (await user.http.post(beat, json={"draining": True})).json()["state"] == "draining"
        await start(user)
        assert await worker.claim(wait_s=0.3) == []
        assert (await user.http.post(beat, json={})).json()["state"] == "draining"
        assert (await user.http.post(beat, json={"draining": False})).json()["state"] == "active"
        assert len(await worker.claim()) == 1


async def test_a_worker_that_hung_up_takes_no_job(start_service: Callable[..., Service]) -> None:
    service = start_service()
    async with owner(service) as user:
        worker = await worker_of(user)
        for _ in range(3):
            impatient = asyncio.create_task(worker.claim(wait_s=60))
            await are_waiting(service, 1)
            impatient.cancel()
            await asyncio.gather(impatient, return_exceptions=True)
            await are_waiting(service, 0)
        job = await start(user)
        await asyncio.sleep(0.5)  # time for another claim to take it
        assert (await get(user, job["id"]))["status"] == "queued"
        assert len(await worker.claim()) == 1


async def test_workers_are_listed_with_their_state_and_jobs(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    async with owner(service) as user:
        worker = await worker_of(user, capabilities=["b", "a"], slots=3, metadata={"k": [1]})
        await start(user)
        held = await worker.take()
        [listed] = (await user.http.get("/v1/workers")).json()["workers"]
        assert (listed["state"], listed["running_jobs"]) == ("active", [held.id])
        assert (listed["slots"], listed["metadata"]) == (3, {"k": [1]})
        beat = await user.http.post(f"/v1/workers/{worker.id}/heartbeat")
        assert (beat.status_code, beat.json()["state"]) == (200, "active")

        pool = service.db.pool
        silent = "update workers set last_seen_at = now() - interval '2 h' where id = $1"

        async def is_lost() -> bool:
            # Again, as when it was last seen is written down a moment later.
            await service.run(pool.execute(silent, worker.id))
            [found] = (await user.http.get("/v1/workers")).json()["workers"]
            return bool(found["state"] == "lost")

        await eventually(is_lost)


async def test_waiting_claims_are_answered_at_once_when_the_service_stops(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    async with owner(service) as user:
        worker = await worker_of(user)
        waiting = asyncio.create_task(worker.claim(wait_s=60))
        await are_waiting(service, 1)
        service.stop()
        async with asyncio.timeout(50):
            assert await waiting == []
