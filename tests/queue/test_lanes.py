"""Tests of the floors of the queue: no job is ever below one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from app.database.statement import Connection
from app.events.lanes_sql import in_lane, lanes_of
from app.queue import lane_queries
from app.queue.domain import tasks
from app.queue.lanes import QueueLanes
from app.runtime import metrics
from app.runtime.ids import new_id
from tests.support.jobs import owner, start, worker_of
from tests.support.lanes import buffers, connection, floors, id_of, insert_jobs
from tests.support.services import Service, eventually, with_domain

HOUR = timedelta(hours=1)


@pytest.fixture
def unswept(start_service: Callable[..., Service]) -> Service:
    """A service whose lanes the test sweeps."""
    return start_service(
        domains=with_domain("queue", tasks=partial(tasks, sweep_interval_s=1e6, sweep_first_s=1e6))
    )


def sweep(service: Service) -> asyncio.Future[None]:
    """Sweep the lanes once."""
    return asyncio.ensure_future(service.run(service.get(QueueLanes).sweep()))


def misses() -> float:
    """Return the number of missing lanes that sweeps have found."""
    [metric] = metrics.QUEUE_FLOOR_MISSES.collect()
    return next(sample.value for sample in metric.samples if sample.name.endswith("_total"))


async def is_waiting_for_lock(on: Connection) -> bool:
    return bool(
        await on.fetchval(
            "select exists (select from pg_stat_activity where wait_event_type = 'Lock' "
            "and datname = current_database())"
        )
    )


async def test_a_floor_is_raised_to_the_first_queued_job(unswept: Service) -> None:
    ids = [id_of(HOUR) for _ in range(4)]
    async with owner(unswept) as user, connection(unswept) as on:
        await insert_jobs(on, user.id, ids)
        assert await floors(on, user.id) == ids[:1]
        worker = await worker_of(user)
        assert [(await worker.take()).id for _ in range(2)] == ids[:2]
        await sweep(unswept)
        assert await floors(on, user.id) == ids[2:3]
        assert [lease.id for lease in await worker.claim(max_jobs=4)] == ids[2:]


async def test_a_lane_without_jobs_is_deleted_and_made_again(unswept: Service) -> None:
    async with owner(unswept) as user, connection(unswept) as on:
        worker = await worker_of(user)
        for _ in range(2):
            job = await start(user)
            assert await floors(on, user.id) == [job["id"]]
            [held] = await worker.claim()
            await held.complete()
            await sweep(unswept)
            assert await floors(on, user.id) == []


async def test_a_job_is_found_whose_insert_is_held_open_across_a_raise(unswept: Service) -> None:
    before = misses()
    async with owner(unswept) as user, connection(unswept) as on, connection(unswept) as other:
        await insert_jobs(other, user.id, [id_of(HOUR)])
        worker = await worker_of(user)
        first = await worker.take()
        late = new_id()
        async with on.transaction():
            await insert_jobs(on, user.id, [late])
            await asyncio.sleep(lane_queries.CLOCK_MARGIN_S + 0.5)
            await sweep(unswept)
            [floor] = await floors(other, user.id)
            assert first.id < floor <= late
            assert await worker.claim() == []
        [held] = await worker.claim()
        assert held.id == late
        await sweep(unswept)
        assert misses() == before


async def test_jobs_of_a_replica_with_a_slow_clock_are_found(unswept: Service) -> None:
    before = misses()
    async with owner(unswept) as user, connection(unswept) as on, connection(unswept) as other:
        worker = await worker_of(user)
        await start(user)
        await worker.take()
        slow = [id_of(HOUR) for _ in range(3)]
        await insert_jobs(other, user.id, slow[:1])
        async with on.transaction():
            await insert_jobs(on, user.id, slow[1:2])
            await sweep(unswept)  # cannot raise the floor, which the insert has locked
            assert (await floors(other, user.id))[0] <= slow[1]
            assert (await worker.take()).id == slow[0]
            assert await worker.claim() == []
        await sweep(unswept)
        await insert_jobs(other, user.id, slow[2:])
        assert [lease.id for lease in await worker.claim(max_jobs=9)] == slow[1:]
        assert misses() == before


async def test_a_job_requeued_during_a_raise_is_found(unswept: Service) -> None:
    old, young = id_of(HOUR), id_of(timedelta(minutes=30))
    async with owner(unswept) as user, connection(unswept) as on, connection(unswept) as other:
        await insert_jobs(on, user.id, [old, young])
        worker = await worker_of(user)
        held = await worker.take()
        assert held.id == old
        async with on.transaction():
            lanes = await lane_queries.lock(on, [user.id])
            requeued = asyncio.create_task(held.release())
            await eventually(lambda: is_waiting_for_lock(other))
            await lane_queries.raise_floors(on, lanes, limit="f" * 32)
            assert await floors(on, user.id) == [young]
        assert (await requeued).status_code == 204
        assert [lease.id for lease in await worker.claim(max_jobs=2)] == [old, young]


async def test_a_raise_passes_over_the_lane_of_a_job_that_is_being_requeued(
    unswept: Service,
) -> None:
    old = id_of(HOUR)
    async with owner(unswept) as user, connection(unswept) as on:
        await insert_jobs(on, user.id, [old])
        worker = await worker_of(user)
        await worker.take()
        async with on.transaction():
            await on.execute("update jobs set status = 'queued' where id = $1", old)
            await on.execute("update job_leases set ended_at = now() where job_id = $1", old)
            await sweep(unswept)
        assert await floors(on, user.id) == [old]
        assert [lease.id for lease in await worker.claim()] == [old]


async def test_a_missing_lane_is_inserted_and_counted(unswept: Service) -> None:
    async with owner(unswept) as user, connection(unswept) as on:
        job = await start(user)
        await on.execute("delete from queue_lanes where user_id = $1", user.id)
        worker = await worker_of(user)
        assert await worker.claim() == []
        before = misses()
        await sweep(unswept)
        assert misses() == before + 1
        assert [lease.id for lease in await worker.claim()] == [job["id"]]


async def test_lanes_that_were_inserted_at_once_become_one(unswept: Service) -> None:
    ids = [id_of(HOUR) for _ in range(2)]
    async with owner(unswept) as user, connection(unswept) as on, connection(unswept) as other:
        async with on.transaction():
            await insert_jobs(on, user.id, ids[1:])
            await insert_jobs(other, user.id, ids[:1])
        assert await floors(on, user.id) == ids
        await sweep(unswept)
        assert await floors(on, user.id) == ids[:1]
        assert [lease.id for lease in await (await worker_of(user)).claim(max_jobs=2)] == ids


async def test_a_claim_reads_few_blocks_behind_an_old_snapshot(unswept: Service) -> None:
    async with owner(unswept) as user, connection(unswept) as on, connection(unswept) as old:
        await insert_jobs(on, user.id, [id_of(HOUR) for _ in range(20_000)])
        first = f"select j.id from jobs j where {in_lane('$1')} order by j.id limit 1"
        query = f"select from {lanes_of('$1')} cross join lateral ({first}) j"
        async with old.transaction(isolation="repeatable_read"):
            await old.fetchval("select count(*) from jobs")
            await on.execute("update jobs set status = 'completed' where user_id = $1", user.id)
            waiting = [id_of(HOUR) for _ in range(2)]
            await insert_jobs(on, user.id, waiting)
            before = await buffers(on, query, user.id)
            await sweep(unswept)
            assert await buffers(on, query, user.id) < 20 < before / 10
            assert [job.id for job in await (await worker_of(user)).claim(max_jobs=2)] == waiting
