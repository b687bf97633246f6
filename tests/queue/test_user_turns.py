"""Tests of the order in which claims serve users."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from app.queue.user_turns import FEW
from app.runtime.ids import new_id
from tests.support.jobs import HandWorker, start, worker_of
from tests.support.lanes import Connection, connection, id_of, insert_jobs
from tests.support.services import Service


@asynccontextmanager
async def fleet_worker(service: Service) -> AsyncIterator[HandWorker]:
    """A worker that runs the jobs of all users."""
    async with await service.new_user(scopes=("user", "worker", "fleet")) as fleet:
        yield await worker_of(fleet)


async def users_with_jobs(
    on: Connection, count: int, *, jobs: int = 1, capabilities: tuple[str, ...] = ()
) -> list[str]:
    """Insert users with queued jobs; return their ids."""
    users = [new_id() for _ in range(count)]
    for user_id in users:
        await on.execute("insert into users (id, name) values ($1, 'x')", user_id)
        ids = [id_of(timedelta(hours=1)) for _ in range(jobs)]
        await insert_jobs(on, user_id, ids, capabilities=capabilities)
    return users


async def test_each_of_many_users_is_served_once_before_one_is_twice(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    async with fleet_worker(service) as worker, connection(service) as on:
        users = await users_with_jobs(on, FEW + 4, jobs=2)
        served = [(await worker.take()).job["user_id"] for _ in range(2 * len(users))]
        assert sorted(served[: len(users)]) == sorted(users)
        assert sorted(served[len(users) :]) == sorted(users)


async def test_a_job_is_found_behind_many_users_whose_jobs_the_worker_cannot_run(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    async with fleet_worker(service) as worker, connection(service) as on:
        await users_with_jobs(on, FEW + 4, capabilities=("cuda",))
        assert await worker.claim() == []
        [able] = await users_with_jobs(on, 1)
        assert (await worker.take()).job["user_id"] == able


async def test_a_job_of_the_other_replica_is_found_by_a_claim_that_does_not_wait(
    start_service: Callable[..., Service],
) -> None:
    one = start_service()
    two = start_service(like=one)
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(fleet_worker(two))
        assert await worker.claim() == []
        user = await stack.enter_async_context(await one.new_user())
        job = await start(user)
        assert [held.id for held in await worker.claim()] == [job["id"]]
