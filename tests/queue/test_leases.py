"""Leases: who may write, what happens when a worker is lost, and that nothing is stored twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.support.jobs import (
    HeldJob,
    events_of,
    get,
    graph,
    let_lease_run_out,
    owner,
    seqs,
    start,
    worker_of,
)
from tests.support.services import Service, User, eventually

LOG = {"type": "log", "level": "info", "message": "m"}


def refusal(reply: Any) -> tuple[int, str]:
    return reply.status_code, reply.json()["code"]


async def held_job(user: User, **fields: Any) -> HeldJob:
    await start(user, **fields)
    return await (await worker_of(user)).take()


async def status_is(user: User, job_id: str, *statuses: str) -> None:
    async def holds() -> bool:
        return (await get(user, job_id))["status"] in statuses

    await eventually(holds)


async def test_events_sent_twice_are_stored_once(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        assert (await held.post(LOG, LOG))["last_seq"] == 4
        again = await held.send(LOG, LOG, LOG, first=1)
        assert (again.status_code, again.json()["last_seq"]) == (200, 5)
        assert seqs(await events_of(user, held.id)) == [1, 2, 3, 4, 5]


async def test_the_same_batch_twice_at_once_is_stored_once(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        replies = await asyncio.gather(*(held.send(LOG, LOG, first=1) for _ in range(8)))
        assert [reply.status_code for reply in replies] == [200] * 8
        assert seqs(await events_of(user, held.id)) == [1, 2, 3, 4]


async def test_the_end_sent_twice_is_answered_200_and_anything_new_409(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        await held.complete()
        end = {"type": "job_update", "status": "completed", "result": {}}
        again = await held.send(end, first=1)
        assert (again.status_code, again.json()["lease_expires_at"]) == (200, None)
        assert refusal(await held.send(LOG, first=2)) == (409, "job_ended")
        assert refusal(await held.heartbeat()) == (409, "job_ended")
        assert refusal(await held.release()) == (409, "job_ended")
        assert len(await events_of(user, held.id)) == 3


async def test_a_client_seq_left_out_is_refused_and_nothing_stored(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        await held.post(LOG)
        assert refusal(await held.send(LOG, first=3)) == (409, "client_seq_gap")
        assert len(await events_of(user, held.id)) == 3


@pytest.mark.parametrize(
    "event",
    [
        {"type": "nothing"},
        {"type": "log", "level": "loud", "message": "m"},
        {"type": "log", "level": "info"},
        {"type": "log", "level": "info", "message": "m", "unknown": 1},
        {"type": "job_update", "status": "queued"},
        {"type": "job_update", "status": "running", "progress": "0.5"},
        {"type": "log", "level": "info", "message": "m", "job_id": "0" * 32},
        {"type": "log", "level": "info", "message": "m", "client_seq": 0},
        {"type": "log", "level": "info", "message": "m", "client_seq": None},
        {"type": "log", "level": "info", "message": "m", "client_seq": 2**40},
        {"type": "node_progress", "node_id": "a\x00", "progress": 1, "total": 2},
    ],
)
async def test_what_is_no_event_is_refused_with_the_whole_batch(
    service: Service, event: dict[str, Any]
) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        assert refusal(await held.send(LOG, event)) == (422, "validation_error")
        assert len(await events_of(user, held.id)) == 2


async def test_client_seqs_of_a_batch_follow_each_other_and_the_end_is_last(
    service: Service,
) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        skipping = [{"client_seq": 1, **LOG}, {"client_seq": 3, **LOG}]
        ending = [
            {"client_seq": 1, "type": "job_update", "status": "completed"},
            {"client_seq": 2, **LOG},
        ]
        for events in (skipping, ending):
            reply = await user.http.post(
                f"/v1/jobs/{held.id}/events", json={"events": events}, headers=held.headers
            )
            assert refusal(reply) == (422, "validation_error")
        assert (await get(user, held.id))["status"] == "running"


async def test_an_event_over_64_kib_is_refused_and_nothing_stored(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        large = {**LOG, "message": "☃" * 22_000}
        assert refusal(await held.send(LOG, large)) == (413, "event_too_large")
        held.client_seq = 0
        await held.post({**LOG, "message": "x" * 65_000})
        assert len(await events_of(user, held.id)) == 3


async def test_what_a_worker_says_of_seq_and_time_does_not_count(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        forged = {**LOG, "seq": 99, "attempt": 7, "time": "1999-01-01T00:00:00Z"}
        await held.post({**forged, "job_id": held.id})
        event = (await events_of(user, held.id))[-1]
        assert (event["seq"], event["attempt"]) == (3, 1)
        assert event["time"] > "2020"


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
    """Change when a queued job may be claimed."""
    pool = service.db.pool
    change = "update jobs set available_at = now() + $2 * interval '1 s' where id = $1"
    await service.run(pool.execute(change, job_id, in_s))


async def backed_off_s(service: Service, job_id: str) -> float:
    """Return how long after the end of its last lease a job may be claimed."""
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


async def test_an_attempt_that_takes_too_long_fails(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user, timeout_s=3600)
        pool = service.db.pool
        earlier = "update jobs set attempt_started_at = now() - interval '2 h' where id = $1"
        await service.run(pool.execute(earlier, held.id))
        await status_is(user, held.id, "failed")
        assert (await get(user, held.id))["error"]["code"] == "timeout"
        assert refusal(await held.send(LOG)) == (409, "job_ended")


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
