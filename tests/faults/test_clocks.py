"""A machine whose clock is a minute off: that of PostgreSQL is the only one that counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import distribution
from typing import Any

import httpx
import pytest
import pytest_asyncio

from app.settings import Settings
from tests.support.graphs import graph
from tests.support.jobs import HandWorker, get, open_socket, owner, start, worker_of
from tests.support.processes import TOKEN
from tests.support.replicas import Replica
from tests.support.services import Service, User, running
from tests.support.worker_processes import ended_job, worker_process

LIMIT_S = 300.0
LEASE_S = 45.0
TICKET_S = 30.0
LIBRARY = "libfaketime/vendor/libfaketime/src/libfaketime.so.1"


def clock_off_by(seconds: int) -> dict[str, str]:
    """Return what a process needs in its environment for a wrong clock; timers stay as they are."""
    library = distribution("libfaketime").locate_file(LIBRARY)
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "1",
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def right(new_settings: Callable[..., Settings]) -> AsyncIterator[Service]:
    """A replica whose clock is right."""
    settings = new_settings(
        lease_ttl_s=LEASE_S,
        heartbeat_interval_s=1,
        cancel_grace_s=LEASE_S,
        bootstrap_token=TOKEN,
    )
    with running(settings) as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=[-60, 60])
async def wrong(
    right: Service, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Replica]:
    """A replica on the same data whose clock is a minute off."""
    directory = tmp_path_factory.mktemp("wrong")
    async with Replica(right.settings, directory, clock_off_by(request.param)) as replica:
        yield replica


@pytest_asyncio.fixture
async def user(right: Service) -> AsyncIterator[User]:
    """A client of the replica with the correct clock."""
    async with owner(right) as made:
        yield made


@pytest_asyncio.fixture
async def misled(user: User, wrong: Replica) -> AsyncIterator[User]:
    """The same, who asks the wrong one."""
    headers = {"Authorization": f"Bearer {user.token}"}
    async with httpx.AsyncClient(base_url=wrong.url, headers=headers, timeout=60) as http:
        yield User(user.id, user.token, http)


def now() -> datetime:
    return datetime.now(UTC)


def assert_lasts(expires_at: str, seconds: float, since: datetime) -> None:
    """It expires so long after some moment between `since` and now, by the right clock."""
    lasts = timedelta(seconds=seconds)
    assert since + lasts <= datetime.fromisoformat(expires_at) <= now() + lasts


async def test_the_clock_is_wrong(misled: User) -> None:
    """The precondition of the tests below: the date in a signature shows the clock."""
    made = await misled.http.post("/v1/temp", content=b"x", headers={"Content-Type": "a/b"})
    assert made.is_success, made.text
    dated = httpx.URL(made.json()["get_url"]).params["X-Amz-Date"]
    signed = datetime.strptime(dated, "%Y%m%dT%H%M%S%z")
    assert abs((signed - now()).total_seconds()) > 30


async def test_leases_last_as_long_as_they_should(user: User, misled: User) -> None:
    worker = await worker_of(user)
    await start(misled, timeout_s=50)
    since = now()
    [held] = await HandWorker(worker.id, misled.http).claim()
    assert_lasts(held.expires_at, LEASE_S, since)
    for http in (misled.http, user.http):
        held.http, since = http, now()
        renewed = (await held.heartbeat()).json()
        assert_lasts(renewed["lease_expires_at"], LEASE_S, since)
        stored = await held.post({"type": "log", "level": "info", "message": "m"})
        assert_lasts(stored["lease_expires_at"], LEASE_S, since)
    await misled.http.post(f"/v1/jobs/{held.id}/cancel")
    # Both look for what is overdue twice a second.
    await asyncio.sleep(2)
    assert (await get(user, held.id))["status"] == "running"
    await held.complete()
    job = await get(misled, held.id)
    assert since - timedelta(seconds=30) < datetime.fromisoformat(job["finished_at"]) <= now()


async def test_delayed_jobs_begin_when_it_is_time(misled: User) -> None:
    run_at = now() + timedelta(seconds=3)
    job = await start(misled, run_at=run_at.isoformat())
    held = await (await worker_of(misled)).take(wait_s=30)
    assert held.id == job["id"]
    assert now() >= run_at
    await held.complete()


async def test_tickets_of_either_replica_open_a_socket_at_the_other(
    right: Service, wrong: Replica, user: User, misled: User
) -> None:
    elsewhere = replace(right, url=wrong.url)
    for issuer, place in ((misled, right), (user, elsewhere)):
        since = now()
        ticket = (await issuer.http.post("/v1/ws/tickets")).json()
        assert_lasts(ticket["expires_at"], TICKET_S, since)
        query = f"?ticket={ticket['ticket']}"
        async with open_socket(place, None, query=query, open_timeout=LIMIT_S) as socket:
            await socket.send(op="ping")
            assert (await socket.receive(within_s=LIMIT_S))["type"] == "pong"


async def test_tokens_expire_when_they_should(misled: User) -> None:
    for seconds, is_given in ((-30, False), (30, True)):
        expires_at = (now() + timedelta(seconds=seconds)).isoformat()
        body = {"name": "t", "scopes": ["user"], "expires_at": expires_at}
        reply = await misled.http.post("/v1/tokens", json=body)
        assert reply.status_code == (201 if is_given else 422), reply.text
        if is_given:
            token = {"Authorization": f"Bearer {reply.json()['token']}"}
            assert (await misled.http.get("/v1/jobs", headers=token)).is_success


async def test_signed_urls_work(misled: User) -> None:
    draft = {"name": "a", "content_type": "text/plain", "size": 5}
    made = (await misled.http.post("/v1/assets/uploads", json=draft)).json()
    async with httpx.AsyncClient(timeout=60) as http:
        put = await http.put(
            made["upload"]["url"], content=b"hello", headers=made["upload"]["headers"]
        )
        assert put.is_success, put.text
        done = await misled.http.post(f"/v1/assets/{made['asset']['id']}/complete")
        assert done.json()["status"] == "ready"
        signed = (await misled.http.get(f"/v1/assets/{made['asset']['id']}/url")).json()
        assert (await http.get(signed["url"])).content == b"hello"
    through = await misled.http.get(f"/v1/assets/{made['asset']['id']}/content")
    assert through.content == b"hello"


@pytest.mark.parametrize("seconds", [-60, 60])
async def test_worker_with_a_wrong_clock_runs_jobs_and_keeps_their_leases(
    right: Service, user: User, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    wired: Any = graph(
        {
            "nap": ("control.Sleep", {"seconds": 3}),
            "n": ("faulty.Large", {"characters": 200_000}),
            "out": ("output.AnyOutput", {"name": "large"}),
        },
        "n.output > out.value",
    )
    with monkeypatch.context() as patched:
        for name, value in clock_off_by(seconds).items():
            patched.setenv(name, value)
        async with worker_process(right, user):
            job = await start(user, graph=wired.model_dump(), timeout_s=50)
            end = await ended_job(user, job["id"], within_s=LIMIT_S)
    assert (end["status"], end["attempt"]) == ("completed", 1)
    assert end["result"]["large"]["type"] == "text"
