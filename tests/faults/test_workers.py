"""Tests of workers that are killed, suspended, stopped, removed, or started before the service."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from app.settings import Settings
from processing_context.context import ProcessingContext
from tests.support.graphs import graph
from tests.support.jobs import events_of, get, let_lease_run_out, owner, start
from tests.support.services import WAIT_S, Service, User, free_port, running
from tests.support.worker_processes import ended_job, node_runs, until, worker_process


def nap(seconds: float) -> dict[str, Any]:
    made = graph(
        {
            "nap": ("control.Sleep", {"seconds": seconds, "value": "rested"}),
            "out": ("output.AnyOutput", {"name": "v"}),
        },
        "nap.output > out.value",
    )
    return made.model_dump()


def wait_for_file(path: Path) -> dict[str, Any]:
    made = graph(
        {
            "nap": ("faulty.WaitsForFile", {"path": str(path)}),
            "out": ("output.AnyOutput", {"name": "v"}),
        },
        "nap.output > out.value",
    )
    return made.model_dump()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def short(new_settings: Callable[..., Settings]) -> AsyncIterator[Service]:
    """A service that hears of its workers often. No lease runs out unless a test lets it."""
    with running(new_settings(lease_ttl_s=60, heartbeat_interval_s=0.5)) as service:
        yield service


@pytest_asyncio.fixture
async def somebody(short: Service) -> AsyncIterator[User]:
    async with owner(short) as user:
        yield user


async def workers(user: User) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await user.http.get("/v1/workers")).json()["workers"]
    return listed


async def is_listed(user: User, state: str) -> None:
    """Wait until the user's one worker is in a state."""
    async with asyncio.timeout(WAIT_S):
        while [found["state"] for found in await workers(user)] != [state]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_job_of_a_killed_worker_is_finished_by_another_one(
    short: Service, somebody: User, tmp_path: Path
) -> None:
    async with worker_process(short, somebody, "--name", "first") as first:
        job = await start(somebody, graph=wait_for_file(tmp_path / "go"))
        await node_runs(somebody, job["id"], "nap")
        first.signal(signal.SIGKILL)
        await let_lease_run_out(short, job["id"])
        (tmp_path / "go").touch()
        async with worker_process(short, somebody, "--name", "second"):
            end = await ended_job(somebody, job["id"])
    assert (end["status"], end["attempt"], end["result"]) == ("completed", 2, {"v": "rested"})
    events = await events_of(somebody, job["id"])
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


async def test_worker_that_slept_past_its_lease_writes_nothing_more(
    short: Service, somebody: User, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    async with worker_process(short, somebody, "--name", "first") as first:
        job = await start(somebody, graph=wait_for_file(go))
        await node_runs(somebody, job["id"], "nap")
        first.signal(signal.SIGSTOP)
        await let_lease_run_out(short, job["id"])
        go.touch()
        async with worker_process(short, somebody, "--name", "second"):
            end = await ended_job(somebody, job["id"])
            go.unlink()
            first.signal(signal.SIGCONT)
            await first.says("the lease is lost")
            assert (end["status"], end["attempt"]) == ("completed", 2)
            before = await events_of(somebody, job["id"])
            # It is free again, though the node it had begun was in the middle of its nap.
            again = await start(somebody, graph=nap(0))
            assert (await ended_job(somebody, again["id"]))["status"] == "completed"
            assert await events_of(somebody, job["id"]) == before


async def test_sigterm_lets_jobs_finish_and_takes_no_new_ones(
    short: Service, somebody: User, tmp_path: Path
) -> None:
    async with worker_process(short, somebody, "--slots", "2") as worker:
        job = await start(somebody, graph=wait_for_file(tmp_path / "go"))
        await node_runs(somebody, job["id"], "nap")
        worker.signal(signal.SIGTERM)
        await worker.says("draining")
        late = await start(somebody, graph=nap(0))
        await is_listed(somebody, "draining")
        (tmp_path / "go").touch()
        assert await worker.ended() == 0
    assert (await get(somebody, job["id"]))["status"] == "completed"
    assert (await get(somebody, late["id"]))["status"] == "queued"
    assert await workers(somebody) == []


async def test_job_that_outlasts_the_grace_time_goes_back_without_an_attempt(
    short: Service, somebody: User
) -> None:
    async with worker_process(short, somebody, "--grace", "0.3") as worker:
        job = await start(somebody, graph=nap(600))
        await node_runs(somebody, job["id"], "nap")
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
    back = await get(somebody, job["id"])
    assert (back["status"], back["attempt"]) == ("queued", 1)


async def test_second_signal_does_not_wait_for_the_grace_time(
    short: Service, somebody: User
) -> None:
    async with worker_process(short, somebody, "--grace", "600") as worker:
        job = await start(somebody, graph=nap(600))
        await node_runs(somebody, job["id"], "nap")
        worker.signal(signal.SIGINT)
        await worker.says("draining")
        worker.signal(signal.SIGINT)
        assert await worker.ended() == 0
    assert (await get(somebody, job["id"]))["status"] == "queued"


async def test_third_signal_ends_a_worker_whose_loop_is_blocked(
    short: Service, somebody: User, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    data = {"begun": str(begun), "go": str(tmp_path / "never")}
    async with worker_process(short, somebody) as worker:
        await start(somebody, graph=graph({"n": ("faulty.BlocksLoop", data)}).model_dump())
        await until(begun.exists)
        # Again and again: of signals that come before a process could run, it sees one.
        while worker.is_running:
            with contextlib.suppress(ProcessLookupError):
                worker.signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
        assert await worker.ended() == 128 + signal.SIGTERM


async def test_thread_that_cannot_be_stopped_does_not_hold_the_worker(
    short: Service, somebody: User
) -> None:
    async with worker_process(short, somebody, "--grace", "0") as worker:
        stuck = graph({"n": ("faulty.BlocksThread", {})}).model_dump()
        job = await start(somebody, graph=stuck)
        await node_runs(somebody, job["id"], "n")
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0


async def test_worker_that_was_forgotten_registers_again(short: Service, somebody: User) -> None:
    async with worker_process(short, somebody):
        [known] = await workers(somebody)
        reply = await somebody.http.delete(f"/v1/workers/{known['id']}")
        assert reply.status_code == 204
        job = await start(somebody, graph=nap(0))
        assert (await ended_job(somebody, job["id"]))["status"] == "completed"
        [anew] = await workers(somebody)
        assert anew["id"] != known["id"]


async def test_worker_with_a_token_that_is_refused_says_so_and_ends(
    short: Service, somebody: User
) -> None:
    stranger = User("nobody", "ctx_wrong", somebody.http)
    async with worker_process(short, stranger, ready=False) as worker:
        assert await worker.ended() == 1
        assert "the service refuses this worker" in worker.log()


async def test_worker_waits_for_a_service_that_is_not_there_yet(
    new_settings: Callable[..., Settings],
) -> None:
    token = secrets.token_urlsafe(32)
    settings = new_settings(port=free_port(), bootstrap_token=token)
    url = f"http://127.0.0.1:{settings.port}"
    async with worker_process(url, token, ready=False) as worker:
        await worker.says("registration: ")
        with running(settings):
            await worker.says("registered as")
            async with ProcessingContext(base_url=url, token=token) as context:
                assert await context.run_worker(nap(0)) == {"v": "rested"}
