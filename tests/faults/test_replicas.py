"""Two replicas on one database: nothing that one knows is needed by the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from app.database.notifications import Notifications
from app.queue.domain import tasks
from app.queue.waiting_claims import WaitingClaims
from tests.support.jobs import (
    HandWorker,
    events_of,
    get,
    open_socket,
    owner,
    seqs,
    start,
    worker_of,
)
from tests.support.services import Service, eventually, with_domain

LOG = {"type": "log", "level": "info", "message": "m"}


async def test_a_socket_on_one_replica_sees_what_comes_in_through_the_other(
    start_service: Callable[..., Service],
) -> None:
    one = start_service()
    two = start_service(like=one)
    async with owner(one) as user, open_socket(two, user.token) as socket:
        job = await start(user)
        held = await (await worker_of(user)).take()
        await socket.send(op="subscribe", job_id=job["id"], after=0)
        frames = await socket.until("caught_up")
        for _ in range(30):
            await held.post(LOG, LOG)
        await held.complete()
        frames += await socket.until_end()
        assert seqs(frames) == list(range(1, 64))


async def test_all_jobs_are_seen_through_either_replica(
    start_service: Callable[..., Service],
) -> None:
    one = start_service()
    two = start_service(like=one)
    async with owner(one) as user, open_socket(two, user.token) as socket:
        await socket.send(op="subscribe", jobs="all")
        await socket.until("snapshot")
        worker = await worker_of(user)
        for _ in range(5):
            await start(user)
            await (await worker.take()).complete()
        seen: dict[str, list[int]] = {}
        while sum(map(len, seen.values())) < 15:
            frame = await socket.receive()
            seen.setdefault(frame["job_id"], []).append(frame["seq"])
        assert list(seen.values()) == [[1, 2, 3]] * 5


async def test_a_claim_that_waits_at_one_replica_is_woken_by_a_job_made_at_the_other(
    start_service: Callable[..., Service],
) -> None:
    # Without polling only a notification helps.
    domains = with_domain("queue", tasks=partial(tasks, poll_interval_s=1e6))
    one = start_service(domains=domains, heartbeat_interval_s=100, lease_ttl_s=300)
    two = start_service(like=one, domains=domains)
    async with owner(one) as user, two.client(user.token) as http:
        worker = HandWorker((await worker_of(user)).id, http)
        waiting = asyncio.create_task(worker.claim(wait_s=50))

        async def is_waiting() -> bool:
            return len(two.get(WaitingClaims)) > 0

        await eventually(is_waiting)
        job = await start(user)
        [held] = await waiting
        assert held.id == job["id"]


async def test_a_job_goes_on_through_the_other_replica_when_one_stops(
    start_service: Callable[..., Service],
) -> None:
    one = start_service()
    two = start_service(like=one)
    async with owner(one) as user, two.client(user.token) as http:
        job = await start(user)
        held = await (await worker_of(user)).take()
        await held.post(LOG)
        async with open_socket(one, user.token) as socket:
            await socket.send(op="subscribe", job_id=job["id"])
            seen = seqs(await socket.until("caught_up"))
            one.stop()
            assert await socket.closed() == 1012
        held.http = http
        await held.post(LOG)
        async with open_socket(two, user.token) as socket:
            await socket.send(op="subscribe", job_id=job["id"], after=seen[-1])
            await held.complete()
            seen += seqs(await socket.until_end())
        assert seen == [1, 2, 3, 4, 5]


async def test_a_job_is_ended_once_however_many_replicas_look_after_it(
    start_service: Callable[..., Service],
) -> None:
    one = start_service()
    start_service(like=one)
    start_service(like=one)
    async with owner(one) as user:
        jobs = [await start(user, max_attempts=1) for _ in range(10)]
        worker = await worker_of(user)
        held = await worker.claim(max_jobs=10)
        await asyncio.gather(*(lease.heartbeat() for lease in held))
        pool = one.db.pool
        await one.run(pool.execute("update job_leases set expires_at = now()"))

        async def have_ended() -> bool:
            states = [await get(user, job["id"]) for job in jobs]
            return all(job["status"] == "failed" for job in states)

        await eventually(have_ended)
        for job in jobs:
            assert seqs(await events_of(user, job["id"])) == [1, 2, 3]


async def test_a_token_revoked_at_one_replica_closes_its_socket_at_the_other(
    start_service: Callable[..., Service],
) -> None:
    one = start_service()
    two = start_service(like=one)
    async with owner(one) as user, open_socket(two, user.token) as socket:
        await socket.send(op="ping")
        await socket.receive()
        [token] = (await user.http.get("/v1/tokens")).json()["tokens"]
        await user.http.delete(f"/v1/tokens/{token['id']}")
        assert await socket.closed() == 4401


async def test_events_that_were_stored_and_never_announced_are_found(
    start_service: Callable[..., Service],
) -> None:
    """As after a `kill -9` between the two."""
    one = start_service()
    two = start_service(like=one)
    async with (
        owner(one) as user,
        open_socket(two, user.token) as single,
        open_socket(two, user.token) as every,
    ):
        job = await start(user)
        held = await (await worker_of(user)).take()
        await single.send(op="subscribe", job_id=job["id"])
        await single.until("caught_up")
        await every.send(op="subscribe", jobs="all")
        await every.until("snapshot")
        await one.run(one.get(Notifications).stop())
        await held.post(LOG)
        await held.complete()
        unseen = await start(user)
        assert seqs(await single.until_end()) == [3, 4]
        frames = [await every.receive() for _ in range(3)]
        assert {(f["job_id"], f["seq"]) for f in frames} == {
            (job["id"], 3),
            (job["id"], 4),
            (unseen["id"], 1),
        }


async def test_a_cut_listen_connection_costs_nothing(
    start_service: Callable[..., Service],
) -> None:
    one = start_service()
    two = start_service(like=one)
    async with owner(one) as user, open_socket(two, user.token) as socket:
        job = await start(user)
        held = await (await worker_of(user)).take()
        await socket.send(op="subscribe", job_id=job["id"])
        frames = await socket.until("caught_up")
        db = one.db
        cut = """
            select pg_terminate_backend(pid) from pg_stat_activity
            where query ilike 'listen%' and datname = current_database()"""
        assert len(await one.run(db.pool.fetch(cut))) == 2
        for _ in range(20):
            await held.post(LOG)
        await held.complete()
        frames += await socket.until_end()
        assert seqs(frames) == list(range(1, 24))
