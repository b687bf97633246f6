"""Each event of a job comes once over a socket, in order, however many subscriptions cover it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.jobs import HeldJob, Socket, graph, held_job, open_socket, owner, seqs, worker_of
from tests.support.services import Service, User

LOG = {"type": "log", "level": "info", "message": "m"}


async def until_pong(socket: Socket) -> list[dict[str, Any]]:
    """Return the frames that the service has sent so far."""
    await socket.send(op="ping", id="end")
    return (await socket.until("pong"))[:-1]


async def watching_all(socket: Socket) -> None:
    """Subscribe to all jobs."""
    await socket.send(op="subscribe", jobs="all")
    while (await socket.receive()).get("more") is not False:
        continue


async def running_job(user: User, *events: dict[str, Any]) -> HeldJob:
    """Create and claim a job, and post events."""
    held = await held_job(user)
    if events:
        await held.post(*events)
    return held


async def test_a_job_that_is_run_over_a_socket_that_watches_all_comes_once(
    service: Service,
) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        await watching_all(socket)
        worker = await worker_of(user)
        for _ in range(5):
            await socket.send(op="run", request={"graph": graph()})
            held = await worker.take(wait_s=10)
            await held.post(LOG, LOG)
            await held.complete()
            frames = await socket.until_end()
            frames += await until_pong(socket)
            assert seqs(frames) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("after", [0, 1, 3, 4])
async def test_a_second_subscription_repeats_nothing_of_the_first(
    service: Service, after: int
) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        held = await running_job(user, LOG)
        await socket.send(op="subscribe", job_id=held.id, after=1)
        assert seqs(await socket.until("caught_up")) == [2, 3]
        await held.post(LOG)
        assert (await socket.receive())["seq"] == 4
        await socket.send(op="subscribe", job_id=held.id, after=after, id="again")
        frames = await socket.until("caught_up")
        assert seqs(frames) == ([1] if after == 0 else [])
        assert frames[-1]["seq"] == 4
        await held.post(LOG)
        await held.complete()
        assert seqs(await socket.until_end()) == [5, 6]


async def test_a_subscription_adds_the_events_before_those_of_all_jobs(service: Service) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        held = await running_job(user, LOG)
        await watching_all(socket)
        await held.post(LOG, LOG)
        frames = [await socket.receive(), await socket.receive()]
        assert seqs(frames) == [4, 5]
        await socket.send(op="subscribe", job_id=held.id, after=0)
        assert seqs(await socket.until("caught_up")) == [1, 2, 3]
        await held.post(LOG)
        assert (await socket.receive())["seq"] == 6
        await socket.send(op="unsubscribe", job_id=held.id)
        await socket.until("reply")
        await held.complete()
        assert seqs([*await socket.until_end(), *await until_pong(socket)]) == [7]


async def test_all_jobs_repeat_nothing_of_a_subscription_before(service: Service) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        held = await running_job(user, LOG)
        await socket.send(op="subscribe", job_id=held.id)
        assert seqs(await socket.until("caught_up")) == [1, 2, 3]
        await watching_all(socket)
        await held.post(LOG)
        await held.complete()
        assert seqs([*await socket.until_end(), *await until_pong(socket)]) == [4, 5]


async def test_a_job_that_has_ended_is_replayed_again_once_no_subscription_covers_it(
    service: Service,
) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        held = await running_job(user)
        await held.complete()
        for _ in range(2):
            await socket.send(op="subscribe", job_id=held.id)
            assert seqs(await socket.until("caught_up")) == [1, 2, 3]


async def test_events_that_come_while_a_subscription_is_replaced_are_neither_lost_nor_repeated(
    service: Service,
) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        held = await running_job(user)
        await watching_all(socket)
        seen: list[int] = []
        for number in range(20):
            op = "unsubscribe" if number % 3 == 2 else "subscribe"
            await socket.send(op=op, job_id=held.id, **({"after": 0} if op == "subscribe" else {}))
            await held.post(LOG, LOG)
            seen += seqs(await until_pong(socket))
        await held.complete()
        seen += seqs(await socket.until_end())
        assert sorted(seen) == list(range(1, 44))
        assert [seq for seq in seen if seq > 2] == list(range(3, 44))
