"""Nodes that take all memory, fork, or have their worker killed."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.settings import Settings
from tests.support.graphs import graph
from tests.support.jobs import events_of, owner, start
from tests.support.services import Service, User, running
from tests.support.worker_processes import (
    WorkerProcess,
    ended_job,
    node_runs,
    until,
    worker_process,
)

LIMIT_S = 300.0
LEASE_S = 10.0
SPARE_BYTES = 512 * 1024 * 1024
NODES = ("--nodes", "tests.support.fault_nodes")


def one(kind: str, **data: Any) -> dict[str, Any]:
    wired = graph(
        {"n": (kind, data), "out": ("output.AnyOutput", {"name": "result"})},
        "n.output > out.value",
    )
    return wired.model_dump()


def lives(pid: int) -> bool:
    """Return True if a process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def limit_memory(pid: int) -> None:
    """Let a process, and those it starts, take only a little more memory than it has."""
    status = Path(f"/proc/{pid}/status").read_text()
    [size] = [line.split()[1] for line in status.splitlines() if line.startswith("VmSize")]
    limit = int(size) * 1024 + SPARE_BYTES
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(new_settings: Callable[..., Settings]) -> AsyncIterator[Service]:
    """A service that soon gives up a worker that is dead."""
    with running(new_settings(lease_ttl_s=LEASE_S, heartbeat_interval_s=1)) as service:
        yield service


@pytest_asyncio.fixture
async def user(service: Service) -> AsyncIterator[User]:
    async with owner(service) as made:
        yield made


@pytest_asyncio.fixture
async def worker(service: Service, user: User) -> AsyncIterator[WorkerProcess]:
    async with worker_process(service, user, "--slots", "2", *NODES) as made:
        yield made


async def ended(user: User, kind: str, **data: Any) -> dict[str, Any]:
    """Run one node; return its job at its end."""
    job = await start(user, graph=one(kind, **data))
    return await ended_job(user, job["id"], within_s=LIMIT_S)


async def assert_goes_on(user: User) -> None:
    """The worker runs the next job."""
    end = await ended(user, "fault.Counts", count=3)
    assert (end["status"], end["attempt"], end["result"]) == ("completed", 1, {"result": 3})


@pytest.mark.parametrize("kind", ["fault.Allocates", "fault.AllocatesApart"])
async def test_node_that_takes_all_memory_fails_and_its_worker_goes_on(
    user: User, worker: WorkerProcess, kind: str
) -> None:
    limit_memory(worker.pid)
    end = await ended(user, kind)
    assert (end["status"], end["error"]["code"]) == ("failed", "node_failed")
    assert end["error"]["node_id"] == "n"
    assert re.search("[Mm]emory|the process of the node", end["error"]["message"])
    await assert_goes_on(user)


@pytest.mark.usefixtures("worker")
async def test_node_whose_process_is_killed_fails_though_what_it_forked_lives_on(
    user: User,
) -> None:
    end = await ended(user, "fault.ForksAndDies")
    assert (end["status"], end["error"]["code"]) == ("failed", "node_failed")
    assert "was killed by SIGKILL; the system may be out of memory" in end["error"]["message"]
    events = await events_of(user, end["id"])
    [child] = [int(event["progress"]) for event in events if event["type"] == "node_progress"]
    await until(lambda: not lives(child), within_s=LIMIT_S)
    await assert_goes_on(user)


@pytest.mark.usefixtures("worker")
async def test_children_of_a_node_do_not_outlive_it(user: User) -> None:
    end = await ended(user, "fault.Forks")
    assert (end["status"], len(end["result"]["result"])) == ("completed", 3)
    await until(lambda: not any(map(lives, end["result"]["result"])), within_s=LIMIT_S)


async def test_child_that_holds_the_connections_of_a_dead_worker_holds_up_no_job(
    strict: Service,
) -> None:
    async with owner(strict) as user:
        async with worker_process(strict, user, *NODES) as worker:
            end = await ended(user, "fault.ForksWorker")
            child = int(end["result"]["result"])
            worker.signal(signal.SIGKILL)
            await worker.ended(within_s=LIMIT_S)
        try:
            assert lives(child)
            job = await start(user, graph=one("fault.Counts", count=3), max_attempts=1)
            async with worker_process(strict, user, *NODES):
                end = await ended_job(user, job["id"], within_s=LIMIT_S)
            assert (end["status"], end["attempt"]) == ("completed", 1)
        finally:
            os.kill(child, signal.SIGKILL)


async def test_node_that_has_its_workers_killed_fails_and_takes_no_other_job_with_it(
    strict: Service, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    async with owner(strict) as user, AsyncExitStack() as stack:

        async def new_worker() -> WorkerProcess:
            made = worker_process(strict, user, "--slots", "2", *NODES)
            return await stack.enter_async_context(made)

        first = await new_worker()
        other = await start(user, graph=one("fault.CountsUntil", path=str(gate)), max_attempts=10)
        await node_runs(user, other["id"], "n")
        deadly = await start(user, graph=one("fault.KillsWorker"), max_attempts=2)
        assert await first.ended(within_s=LIMIT_S) == -signal.SIGKILL
        second = await new_worker()
        assert await second.ended(within_s=LIMIT_S) == -signal.SIGKILL
        await new_worker()
        end = await ended_job(user, deadly["id"], within_s=LIMIT_S)
        assert (end["status"], end["attempt"]) == ("failed", 2)
        assert end["error"]["code"] == "worker_lost"
        assert end["error"]["message"] == "The worker was lost in attempt 2 of 2."
        await asyncio.to_thread(gate.touch)
        assert (await ended_job(user, other["id"], within_s=LIMIT_S))["status"] == "completed"
