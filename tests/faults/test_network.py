"""Tests of network faults: connections of workers, to PostgreSQL, and lost notifications."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import make_url

from app.events.broadcaster import TOPIC
from app.settings import Settings
from tests.support.graphs import graph
from tests.support.jobs import events_of, open_socket, owner, seqs, start, worker_of
from tests.support.processes import TOKEN
from tests.support.proxies import Proxy
from tests.support.replicas import Replica
from tests.support.services import Service, User, running
from tests.support.watchers import Watcher
from tests.support.worker_processes import ended_job, worker_process

LOG = {"type": "log", "level": "info", "message": "m"}
LEASE_S = 15.0
LIMIT_S = 300.0
NODES = ("--nodes", "tests.support.fault_nodes")

Event = dict[str, Any]


def counts_until(path: Path) -> dict[str, Any]:
    """A job that says 0, 1, 2 … until the file is there; its result is how many it said."""
    wired = graph(
        {
            "n": ("fault.CountsUntil", {"path": str(path)}),
            "out": ("output.AnyOutput", {"name": "said"}),
        },
        "n.output > out.value",
    )
    return wired.model_dump()


def said(events: list[Event], attempt: int) -> list[str]:
    """Progress that the node reported in an attempt."""
    return [e["message"] for e in events if e["type"] == "log" and e["attempt"] == attempt]


async def log_of(user: User, job_id: str) -> list[Event]:
    """Return a job's events, as soon as the service has its database again."""
    async with asyncio.timeout(LIMIT_S):
        while (  # noqa: ASYNC110
            reply := await user.http.get(f"/v1/jobs/{job_id}/events")
        ).status_code == 503:
            await asyncio.sleep(0.1)
    assert reply.is_success, reply.text
    events: list[Event] = reply.json()["events"]
    return events


async def says_more(user: User, job_id: str, *, attempt: int, than: int = 0) -> int:
    """Wait until a node has said more than so much in an attempt; return how much."""
    async with asyncio.timeout(LIMIT_S):
        while (count := len(said(await log_of(user, job_id), attempt))) <= than:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return count


async def assert_whole(user: User, job_id: str, *, attempt: int) -> None:
    """The job has completed in this attempt, and nothing that was said is lost or doubled."""
    job = await ended_job(user, job_id, within_s=LIMIT_S)
    assert (job["status"], job["attempt"]) == ("completed", attempt)
    events = await events_of(user, job_id)
    assert seqs(events) == list(range(1, len(events) + 1))
    for number in range(1, attempt + 1):
        words = said(events, number)
        assert words == [str(n) for n in range(len(words))]
    assert job["result"] == {"said": len(said(events, attempt))}


def lose(proxy: Proxy, how: str) -> None:
    """Take the network away: without a word, or with every connection broken."""
    if how == "silent":
        proxy.stall()
    else:
        proxy.is_refusing = True
        proxy.cut()


def bring_back(proxy: Proxy) -> None:
    """Give the network back."""
    proxy.is_refusing = False
    proxy.flow()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def patient(new_settings: Callable[..., Settings]) -> AsyncIterator[Service]:
    """A service whose leases outlast what is done to the network."""
    with running(new_settings(lease_ttl_s=600, heartbeat_interval_s=1)) as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strict(new_settings: Callable[..., Settings]) -> AsyncIterator[Service]:
    """A service whose leases do not."""
    with running(new_settings(lease_ttl_s=LEASE_S, heartbeat_interval_s=1)) as service:
        yield service


@pytest.mark.parametrize("how", ["silent", "broken"])
async def test_worker_that_has_no_network_for_five_seconds_loses_nothing(
    patient: Service, tmp_path: Path, how: str
) -> None:
    gate = tmp_path / "gate"
    async with (
        owner(patient) as user,
        Proxy(patient.settings.port) as proxy,
        worker_process(proxy.url, user, *NODES),
    ):
        job = await start(user, graph=counts_until(gate))
        before = await says_more(user, job["id"], attempt=1)
        lose(proxy, how)
        await asyncio.sleep(5)
        bring_back(proxy)
        await says_more(user, job["id"], attempt=1, than=before)
        await asyncio.to_thread(gate.touch)
        await assert_whole(user, job["id"], attempt=1)


@pytest.mark.parametrize("how", ["silent", "broken"])
async def test_worker_that_has_no_network_for_longer_than_its_lease_is_replaced_once(
    strict: Service, tmp_path: Path, how: str
) -> None:
    gate = tmp_path / "gate"
    async with (
        owner(strict) as user,
        Proxy(strict.settings.port) as proxy,
        worker_process(proxy.url, user, "--name", "first", *NODES) as first,
    ):
        job = await start(user, graph=counts_until(gate))
        await says_more(user, job["id"], attempt=1)
        lose(proxy, how)
        async with worker_process(strict, user, "--name", "second", *NODES):
            await says_more(user, job["id"], attempt=2)
            of_the_first = said(await events_of(user, job["id"]), 1)
            bring_back(proxy)
            await first.says("the lease is lost", within_s=LIMIT_S)
            await asyncio.to_thread(gate.touch)
            await assert_whole(user, job["id"], attempt=2)
            assert said(await events_of(user, job["id"]), 1) == of_the_first


async def test_replica_killed_between_storing_and_announcing_loses_no_event(
    new_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = new_settings(bootstrap_token=TOKEN)
    url = make_url(str(settings.database_url))
    with running(settings) as other:
        server = f"{url.query['host']}/.s.PGSQL.{url.query['port']}"
        async with Proxy(server) as postgresql, owner(other) as user:
            way = url.set(host="127.0.0.1", port=postgresql.port, query={})
            through = {"database_url": way.render_as_string(hide_password=False)}
            doomed = Replica(settings.model_copy(update=through), tmp_path)
            async with doomed, open_socket(other, user.token, open_timeout=LIMIT_S) as socket:
                job = await start(user)
                await socket.send(op="subscribe", job_id=job["id"])
                held = await (await worker_of(user)).take()
                frames = await socket.until("caught_up", within_s=LIMIT_S)
                while len(seqs(frames)) < 2:
                    frames.append(await socket.receive(within_s=LIMIT_S))
                postgresql.hold = f" {TOPIC} {job['id']}".encode()
                async with httpx.AsyncClient(base_url=doomed.url, timeout=LIMIT_S) as http:
                    held.http = http
                    await held.post(LOG)
                    async with asyncio.timeout(LIMIT_S):
                        await postgresql.held.wait()
                await doomed.kill()
                assert (await socket.receive(within_s=LIMIT_S))["seq"] == 3
                held.http = user.http
                assert (await held.send(LOG, first=1)).json()["last_seq"] == 3
                await held.complete()
                assert seqs(await socket.until_end(within_s=LIMIT_S)) == [4]
                assert seqs(await events_of(user, job["id"])) == [1, 2, 3, 4]


async def test_jobs_and_sockets_outlive_a_crash_of_postgresql(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    settings = Settings(data_dir=tmp_path / "data", lease_ttl_s=600, heartbeat_interval_s=1)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        Replica(settings, tmp_path / "data") as service,
        httpx.AsyncClient(base_url=service.url, headers=headers, timeout=60) as http,
        worker_process(service.url, TOKEN, "--slots", "3", *NODES),
    ):
        user = User("", TOKEN, http)
        watcher = Watcher(service.url, TOKEN)
        watching = asyncio.create_task(watcher.run())
        jobs = [(await start(user, graph=counts_until(gate)))["id"] for _ in range(3)]
        for job_id in jobs:
            watcher.follow(job_id)
        before = [await says_more(user, job_id, attempt=1) for job_id in jobs]
        os.kill(await asyncio.to_thread(postmaster, tmp_path), signal.SIGKILL)
        for job_id, count in zip(jobs, before, strict=True):
            await says_more(user, job_id, attempt=1, than=count + 1)
        await asyncio.to_thread(gate.touch)
        for job_id in jobs:
            await assert_whole(user, job_id, attempt=1)
        async with asyncio.timeout(LIMIT_S):
            while not watcher.has_seen_all:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        for job_id in jobs:
            assert watcher.seen[job_id] == await events_of(user, job_id)


def postmaster(directory: Path) -> int:
    [pid_file] = directory.rglob("postmaster.pid")
    return int(pid_file.read_text().splitlines()[0])
