"""Three replicas and three workers, each killed in turn behind a network that breaks."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from processing_context.wire.jobs import ENDED
from tests.support.graphs import graph
from tests.support.processes import TOKEN
from tests.support.proxies import Proxy
from tests.support.replicas import Replica
from tests.support.watchers import Watcher
from tests.support.worker_processes import WorkerProcess, until, worker_process

MACHINES = 3
JOBS = 500
WATCHERS = 4
AT_ONCE = 6
SEED = 4
LIMIT_S = 1200.0

Event = dict[str, Any]


def counts(number: int) -> dict[str, Any]:
    wired = graph(
        {"n": ("fault.Counts", {"count": number}), "out": ("output.AnyOutput", {"name": "sum"})},
        "n.output > out.value",
    )
    return wired.model_dump()


def counts_until(path: Path) -> dict[str, Any]:
    return graph({"n": ("fault.CountsUntil", {"path": str(path)})}).model_dump()


class Caller:
    """Starts jobs through the network, each watched by one of the readers."""

    def __init__(self, url: str, watchers: list[Watcher]) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self.http = httpx.AsyncClient(base_url=url, headers=headers, timeout=30)
        self.counting: dict[str, int] = {}
        self._keys = itertools.count()
        self._watchers = itertools.cycle(watchers)
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def start(self, **body: Any) -> str:
        """Start a job, however often that has to be asked for."""
        key = {"Idempotency-Key": f"job {next(self._keys)}"}
        body = {"max_attempts": 10, **body}
        async with self._turn:
            job = await self.answer("POST", "/v1/jobs", json=body, headers=key)
        next(self._watchers).follow(job["id"])
        return str(job["id"])

    async def start_counting(self, jobs: int) -> None:
        """Start jobs that any worker runs."""

        async def one(count: int) -> None:
            self.counting[await self.start(graph=counts(count))] = count

        await asyncio.gather(*(one(number % 7) for number in range(jobs)))

    async def answer(self, method: str, path: str, **options: Any) -> Any:
        """Repeat a request while it fails temporarily; return the JSON of the response."""
        while True:
            try:
                reply = await self.http.request(method, path, **options)
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if reply.is_success:
                return reply.json()
            problem = reply.json()
            is_passing = reply.status_code == 503 or problem["code"] == "idempotency_in_flight"
            assert is_passing, problem
            await asyncio.sleep(0.1)


class Machines:
    """The processes to kill: replica and worker `i` of each pair."""

    def __init__(self, replicas: list[Replica], url: str, stack: AsyncExitStack) -> None:
        self._replicas = replicas
        self._url = url
        self._stack = stack
        self._workers: dict[int, WorkerProcess] = {}

    async def start_worker(self, number: int) -> None:
        options = ("--slots", "4", "--capability", f"w{number}", "--name", f"w{number}")
        nodes = ("--nodes", "tests.support.fault_nodes")
        started = worker_process(self._url, TOKEN, *options, *nodes)
        self._workers[number] = await self._stack.enter_async_context(started)

    async def kill(self, number: int) -> None:
        self._workers[number].signal(signal.SIGKILL)
        await self._replicas[number].kill()

    async def restart(self, number: int) -> None:
        await asyncio.gather(self._replicas[number].start(), self.start_worker(number))


async def break_connections(proxy: Proxy, chance: random.Random) -> None:
    """Cut one connection after the other, until cancelled."""
    while True:
        await asyncio.sleep(chance.uniform(0.05, 0.3))
        proxy.cut_one()


async def runs_after(watchers: list[Watcher], job_id: str, attempt: int) -> int:
    """Return the attempt in which a job's node says something, once that is after `attempt`."""
    [seen] = [watcher.seen[job_id] for watcher in watchers if job_id in watcher.seen]
    while True:
        if seen and seen[-1]["type"] == "log" and seen[-1]["attempt"] > attempt:
            return int(seen[-1]["attempt"])
        await asyncio.sleep(0.05)


async def turn_of(
    number: int, machines: Machines, caller: Caller, watchers: list[Watcher], gate: Path
) -> str:
    """Kill one pair while a job runs there that ends only after it has run again."""
    async with asyncio.TaskGroup() as group:
        group.create_task(caller.start_counting(JOBS // MACHINES))
        job_id = await caller.start(graph=counts_until(gate), required_capabilities=[f"w{number}"])
        first = await runs_after(watchers, job_id, 0)
        await machines.kill(number)
        await machines.restart(number)
        await runs_after(watchers, job_id, first)
        await asyncio.to_thread(gate.touch)
    return job_id


def assert_whole(events: list[Event]) -> None:
    """Hold a job's log against the rules of every log."""
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    updates = [event for event in events if event["type"] == "job_update"]
    assert updates[0]["status"] == "queued"
    assert [event["seq"] for event in updates if event["status"] in ENDED] == [len(events)]
    attempts = [event["attempt"] for event in events]
    assert attempts == sorted(attempts)
    for attempt in set(attempts):
        told = [event for event in events if event["attempt"] == attempt]
        said = [event["message"] for event in told if event["type"] == "log"]
        assert said == [str(number) for number in range(len(said))]
        states = [(e["node_id"], e["status"]) for e in told if e["type"] == "node_update"]
        assert len(states) == len(set(states))


def said_in_the_end(events: list[Event]) -> int:
    last = events[-1]["attempt"]
    return sum(event["type"] == "log" and event["attempt"] == last for event in events)


async def check_all(caller: Caller, watchers: list[Watcher], gated: list[str]) -> None:
    seen = {job_id: events for watcher in watchers for job_id, events in watcher.seen.items()}
    listed = (await caller.answer("GET", "/v1/jobs", params={"page_size": 1000}))["jobs"]
    assert {job["id"] for job in listed} == seen.keys() == {*caller.counting, *gated}
    for job_id, watched in seen.items():
        events = (await caller.answer("GET", f"/v1/jobs/{job_id}/events"))["events"]
        assert_whole(events)
        assert watched == events
        end = events[-1]
        assert end["status"] == "completed", end
        if job_id in caller.counting:
            count = caller.counting[job_id]
            assert end["result"] == {"sum": sum(range(count))}
            assert said_in_the_end(events) == count
        else:
            assert end["attempt"] > 1


@pytest.mark.timeout(LIMIT_S + 60)
async def test_every_log_is_whole_whatever_was_killed_and_broken(
    new_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = new_settings(lease_ttl_s=6, heartbeat_interval_s=1)
    replicas = [Replica(settings, tmp_path / f"replica-{n}") for n in range(MACHINES)]
    async with AsyncExitStack() as stack, asyncio.timeout(LIMIT_S):
        await asyncio.gather(*map(stack.enter_async_context, replicas))
        ports = [replica.port for replica in replicas]
        proxy = await stack.enter_async_context(Proxy(*ports, seed=SEED))
        watchers = [Watcher(proxy.url, TOKEN) for _ in range(WATCHERS)]
        caller = Caller(proxy.url, watchers)
        await stack.enter_async_context(caller.http)
        machines = Machines(replicas, proxy.url, stack)
        await asyncio.gather(*map(machines.start_worker, range(MACHINES)))
        async with asyncio.TaskGroup() as group:
            background = [group.create_task(watcher.run()) for watcher in watchers]
            breaking = break_connections(proxy, random.Random(SEED))
            background.append(group.create_task(breaking))
            gated = [
                await turn_of(n, machines, caller, watchers, tmp_path / f"gate-{n}")
                for n in range(MACHINES)
            ]
            await caller.start_counting(JOBS - len(gated) - len(caller.counting))
            await until(lambda: all(w.has_seen_all for w in watchers), within_s=LIMIT_S)
            for task in background:
                task.cancel()
        assert all(watcher.sockets > 1 for watcher in watchers)
        await check_all(caller, watchers, gated)
