"""Stateful test of leases against a model, with operations in random order and concurrently.

The test controls time: leases are expired by a statement, and the test runs the reaper.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.database.engine import connect_args
from app.queue.domain import build, tasks
from app.queue.reaper import BackOff
from tests.support.lease_model import Lease
from tests.support.lease_operations import (
    Cancel,
    Claim,
    Delete,
    EndBackOff,
    EndGrace,
    Expire,
    Heartbeat,
    Op,
    Post,
    Reap,
    Release,
    RemoveWorker,
    TimeOut,
)
from tests.support.lease_world import Pool, World
from tests.support.services import Service, with_domain

MAX_JOBS = 4
MAX_WORKERS = 3
RECENT = 6
"""Which leases still speak: the last ones, most of them dead."""

RACES = 6
AT_ONCE = 4

WHICH = st.integers(0, 1000)
ENDS = ("completed", "failed", "cancelled")

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Lives(RuleBasedStateMachine):
    """The jobs of one user."""

    def __init__(self, run: Run, service: Service, pool: Pool) -> None:
        super().__init__()
        self.run = run
        self.world: World = run(World.of(service, pool))

    @initialize()
    def first(self) -> None:
        for _ in range(2):
            self.run(self.world.register())
            self.run(self.world.start())

    def teardown(self) -> None:
        self.run(self.world.finish())
        self.run(self.world.aclose())

    def do(self, op: Op) -> None:
        self.run(self.world.do(op))

    def job(self, which: int) -> str:
        jobs = list(self.world.model.jobs)
        return jobs[which % len(jobs)]

    def lease(self, which: int) -> Lease:
        recent = self.world.model.leases[-RECENT:]
        return recent[-1 - which % len(recent)]

    def worker(self, which: int) -> str:
        workers = self.world.model.workers
        return workers[which % len(workers)]

    def has_jobs(self) -> bool:
        return bool(self.world.model.jobs)

    def has_leases(self) -> bool:
        return bool(self.world.model.leases)

    def has_workers(self) -> bool:
        return bool(self.world.model.workers)

    @precondition(lambda self: len(self.world.model.jobs) < MAX_JOBS)
    @rule(max_attempts=st.integers(1, 3), priority=st.integers(-1, 1), has_timeout=st.booleans())
    def start(self, max_attempts: int, priority: int, has_timeout: bool) -> None:
        fields = {"max_attempts": max_attempts, "priority": priority}
        self.run(self.world.start(has_timeout=has_timeout, **fields))

    @precondition(lambda self: self.has_workers() and len(self.world.model.jobs) < MAX_JOBS)
    @rule(which=WHICH, has_timeout=st.booleans())
    def start_for_a_claim_that_waits(self, which: int, has_timeout: bool) -> None:
        self.run(self.world.start_for(self.worker(which), has_timeout=has_timeout))

    @precondition(lambda self: len(self.world.model.workers) < MAX_WORKERS)
    @rule()
    def register(self) -> None:
        self.run(self.world.register())

    @precondition(has_workers)
    @rule(which=WHICH)
    def remove_worker(self, which: int) -> None:
        self.do(RemoveWorker(self.worker(which)))

    @precondition(has_workers)
    @rule(which=WHICH)
    def claim(self, which: int) -> None:
        self.do(Claim(self.worker(which), max_jobs=2))

    @precondition(has_leases)
    @rule(which=WHICH)
    def heartbeat(self, which: int) -> None:
        self.do(Heartbeat(self.lease(which).token))

    @precondition(has_leases)
    @rule(which=WHICH, offset=st.integers(-2, 1), count=st.integers(1, 3), shared=st.booleans())
    def post(self, which: int, offset: int, count: int, shared: bool) -> None:
        lease = self.lease(which)
        first = max(1, lease.last_client_seq + 1 + offset)
        self.do(Post(lease.token, first, count, is_shared=shared))

    @precondition(has_leases)
    @rule(which=WHICH, offset=st.integers(-1, 0), end=st.sampled_from(ENDS), shared=st.booleans())
    def end(self, which: int, offset: int, end: str, shared: bool) -> None:
        lease = self.lease(which)
        first = max(1, lease.last_client_seq + 1 + offset)
        self.do(Post(lease.token, first, 2, end, is_shared=shared))

    @precondition(has_leases)
    @rule(which=WHICH)
    def release(self, which: int) -> None:
        self.do(Release(self.lease(which).token))

    @precondition(has_jobs)
    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        self.do(Cancel(self.job(which)))

    @precondition(has_jobs)
    @rule(which=WHICH)
    def retry(self, which: int) -> None:
        self.run(self.world.retry(self.job(which)))

    @precondition(has_jobs)
    @rule(which=WHICH)
    def delete(self, which: int) -> None:
        self.do(Delete(self.job(which)))

    @precondition(has_jobs)
    @rule(which=WHICH, late=st.sampled_from([Expire, Expire, TimeOut, EndGrace, EndBackOff]))
    def time_runs_out(self, which: int, late: Callable[[str], Op]) -> None:
        self.do(late(self.job(which)))

    @rule()
    def reap(self) -> None:
        self.do(Reap())

    @rule()
    def look(self) -> None:
        self.run(self.world.compare())


@pytest.fixture
def unhurried(start_service: Callable[..., Service]) -> Service:
    """A service whose reaper the test runs, and whose back-off lasts longer than the test."""
    queue = with_domain(
        "queue",
        build=partial(build, back_off=BackOff(first_s=3600, max_s=3600)),
        tasks=partial(tasks, reaper_interval_s=1e6),
    )
    return start_service(domains=queue, lease_ttl_s=3600, cancel_grace_s=3600)


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs what is asynchronous to its end."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def pool(unhurried: Service, run: Run) -> Iterator[Pool]:
    """The way past the service to its database."""
    url = str(unhurried.settings.database_url)

    async def opened() -> Pool:
        return await asyncpg.create_pool(**connect_args(url), min_size=1, max_size=4)

    made: Pool = run(opened())
    yield made
    run(made.close())


@pytest.mark.timeout(1800)
def test_leases_do_what_the_model_says(unhurried: Service, run: Run, pool: Pool) -> None:
    class Machine(Lives):
        def __init__(self) -> None:
            super().__init__(run, unhurried, pool)

    run_state_machine_as_test(
        Machine,
        settings=examples(
            max_examples=10,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


async def prepared(world: World, chance: random.Random) -> str:
    """Bring some job into some state; return its id."""
    model = world.model
    while len(model.workers) < 2:
        await world.register()
    if sum(not job.has_ended for job in model.jobs.values()) < 2:
        await world.start(
            max_attempts=chance.randint(1, 3), has_timeout=True, priority=chance.randint(-1, 1)
        )
    if chance.random() < 0.8:
        await world.do(Claim(chance.choice(model.workers), max_jobs=1))
    for lease in [lease for lease in model.leases if not lease.is_over]:
        if chance.random() < 0.7:
            await world.do(Heartbeat(lease.token))
    job_id = chance.choice(list(model.jobs))
    for op, likely in ((Cancel(job_id), 0.2), (Expire(job_id), 0.3), (EndBackOff(job_id), 0.8)):
        if chance.random() < likely:
            await world.do(op)
    return job_id


def possible(world: World, job_id: str) -> list[Op]:
    """Sets of operations on a job that run concurrently."""
    workers = world.model.workers
    ops: list[Op] = [Claim(worker, max_jobs=1) for worker in workers]
    ops += [Cancel(job_id), Delete(job_id), Reap(), Expire(job_id), TimeOut(job_id)]
    ops += [EndGrace(job_id)]
    for lease in [lease for lease in world.model.leases if lease.job_id == job_id][-2:]:
        following = lease.last_client_seq + 1
        ops += [Heartbeat(lease.token), Release(lease.token), Post(lease.token, following, 2)]
        ops += [Post(lease.token, following, 1, end) for end in ENDS]
        ops += [Post(lease.token, following, 2, end, is_shared=True) for end in (None, "completed")]
        if lease.worker_id in workers:
            ops.append(RemoveWorker(lease.worker_id))
    return ops


async def race_after_race(service: Service, pool: Pool, chance: random.Random) -> None:
    world = await World.of(service, pool)
    for _ in range(RACES):
        job_id = await prepared(world, chance)
        choice = possible(world, job_id)
        ops = chance.sample(choice, k=min(len(choice), chance.randint(2, AT_ONCE)))
        await world.race(job_id, ops)
        await world.compare()
    await world.finish()
    await world.aclose()


@pytest.mark.parametrize("seed", range(4))
def test_what_happens_at_once_happens_in_some_order(
    unhurried: Service, run: Run, pool: Pool, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(4):
        run(race_after_race(unhurried, pool, chance))
