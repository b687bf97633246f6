"""Tests of leases: the rights of their tokens, expiry, and lost workers."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.support.jobs import (
    LOG,
    HeldJob,
    events_of,
    get,
    held_job,
    let_lease_run_out,
    owner,
    refusal,
    seqs,
    start,
    status_is,
    worker_of,
)
from tests.support.services import Service


async def test_a_lease_is_good_for_its_own_job_only(service: Service) -> None:
    async with owner(service) as user:
        first, second = await held_job(user), await held_job(user)
        reply = await user.http.post(
            f"/v1/jobs/{second.id}/events",
            json={"events": [{"client_seq": 1, **LOG}]},
            headers=first.headers,
        )
        assert refusal(reply) == (404, "job_not_found")
        reply = await user.http.post(
            f"/v1/jobs/{second.id}/events", json={"events": [{"client_seq": 1, **LOG}]}
        )
        assert reply.status_code == 403


async def test_a_lease_token_acts_as_the_owner_while_the_lease_lives(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        assert (await user.http.get("/v1/assets", headers=held.headers)).status_code == 200
        assert (await user.http.get("/v1/tokens", headers=held.headers)).status_code == 403
        assert (await user.http.get("/v1/workers", headers=held.headers)).status_code == 403
        await held.complete()
        assert (await user.http.get("/v1/assets", headers=held.headers)).status_code == 401


async def make_available(service: Service, job_id: str, *, in_s: float) -> None:
    """Set the time from which a queued job can be claimed."""
    pool = service.db.pool
    change = "update jobs set available_at = now() + $2 * interval '1 s' where id = $1"
    await service.run(pool.execute(change, job_id, in_s))


async def backed_off_s(service: Service, job_id: str) -> float:
    """Return the delay from the end of the last lease of a job until it can be claimed."""
    pool = service.db.pool
    delay = """select extract(epoch from j.available_at - max(l.ended_at))::float
        from jobs j join job_leases l on l.job_id = j.id where j.id = $1 group by j.id"""
    found: float = await service.run(pool.fetchval(delay, job_id))
    return found


async def test_a_lost_worker_costs_an_attempt_and_its_late_writes_are_refused(
    service: Service,
) -> None:
    async with owner(service) as user:
        lost = await held_job(user, max_attempts=2)
        await lost.post({"type": "node_progress", "node_id": "n0", "progress": 1, "total": 2})
        await let_lease_run_out(service, lost.id)
        assert (await get(user, lost.id))["status"] == "queued"
        assert await backed_off_s(service, lost.id) == pytest.approx(1, abs=0.1)
        await make_available(service, lost.id, in_s=3600)
        assert refusal(await lost.send(LOG)) == (409, "lease_lost")
        assert refusal(await lost.heartbeat()) == (409, "lease_lost")
        assert (await user.http.get("/v1/assets", headers=lost.headers)).status_code == 401
        assert (await lost.send(LOG, first=1)).status_code == 200
        nodes = (await user.http.get(f"/v1/jobs/{lost.id}/nodes")).json()["nodes"]
        assert nodes == []
        second = await worker_of(user)
        assert await second.claim() == []
        await make_available(service, lost.id, in_s=0)
        held = await second.take()
        assert held.attempt == 2
        await held.complete(by="the second")
        assert refusal(await lost.send(LOG)) == (409, "job_ended")
        job = await get(user, lost.id)
        assert (job["status"], job["attempt"]) == ("completed", 2)
        assert job["result"] == {"by": "the second"}
        events = await events_of(user, lost.id)
        assert seqs(events) == list(range(1, len(events) + 1))
        begun = [(e["attempt"], e["status"]) for e in events if e["type"] == "job_update"]
        assert begun == [
            (1, "queued"),
            (1, "running"),
            (2, "queued"),
            (2, "running"),
            (2, "completed"),
        ]


async def test_after_the_last_attempt_the_job_fails(service: Service) -> None:
    async with owner(service) as user:
        lost = await held_job(user, max_attempts=1)
        await let_lease_run_out(service, lost.id)
        await status_is(user, lost.id, "failed")
        assert (await get(user, lost.id))["error"]["code"] == "worker_lost"
        assert refusal(await lost.send(LOG)) == (409, "job_ended")


async def test_events_and_heartbeats_keep_a_lease(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        ends = [await lease_end(service, held)]
        for _ in range(2):
            await held.post(LOG)
            ends.append(await lease_end(service, held))
            assert (await held.heartbeat()).status_code == 200
            ends.append(await lease_end(service, held))
        assert ends == sorted(set(ends))


async def lease_end(service: Service, held: HeldJob) -> datetime:
    """Return when a lease runs out."""
    pool = service.db.pool
    query = "select expires_at from job_leases where job_id = $1 and ended_at is null"
    found: datetime = await service.run(pool.fetchval(query, held.id))
    return found


async def test_a_lost_claim_reply_is_given_again_and_costs_no_attempt(service: Service) -> None:
    async with owner(service) as user:
        job = await start(user)
        worker = await worker_of(user)
        [unheard] = await worker.claim()
        [again] = await worker.claim()
        assert (again.id, again.attempt) == (job["id"], 1)
        assert refusal(await unheard.send(LOG)) == (409, "lease_lost")
        await again.complete()
        assert len(await events_of(user, job["id"])) == 3


async def test_a_lease_that_nobody_confirmed_goes_to_another_worker(service: Service) -> None:
    async with owner(service) as user:
        job = await start(user, max_attempts=1)
        [unheard] = await (await worker_of(user)).claim()
        await let_lease_run_out(service, unheard.id)
        held = await (await worker_of(user)).take()
        assert (held.id, held.attempt) == (job["id"], 1)


async def test_a_job_given_back_costs_no_attempt(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user, max_attempts=1)
        await held.post(LOG)
        assert (await held.release()).status_code == 204
        assert refusal(await held.send(LOG)) == (409, "lease_lost")
        again = await (await worker_of(user)).take()
        assert (again.id, again.attempt) == (held.id, 1)
        await again.post(LOG)
        assert seqs(await events_of(user, held.id)) == [1, 2, 3, 4, 5, 6]


async def test_the_jobs_of_a_removed_worker_are_free_at_once(service: Service) -> None:
    async with owner(service) as user:
        await start(user, max_attempts=1)
        worker = await worker_of(user)
        held = await worker.take()
        assert (await user.http.delete(f"/v1/workers/{worker.id}")).status_code == 204
        assert refusal(await held.send(LOG)) == (409, "lease_lost")
        again = await (await worker_of(user)).take()
        assert (again.id, again.attempt) == (held.id, 1)
        gone = await user.http.post(f"/v1/workers/{worker.id}/claim", json={})
        assert refusal(gone) == (404, "worker_not_found")


async def test_an_attempt_that_takes_too_long_fails(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user, timeout_s=3600)
        pool = service.db.pool
        earlier = "update jobs set attempt_started_at = now() - interval '2 h' where id = $1"
        await service.run(pool.execute(earlier, held.id))
        await status_is(user, held.id, "failed")
        assert (await get(user, held.id))["error"]["code"] == "timeout"
        assert refusal(await held.send(LOG)) == (409, "job_ended")
