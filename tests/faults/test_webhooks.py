"""Webhooks when receivers are dead or slow, replicas many, and the service is killed."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx

from app.runtime.shutdown import Shutdown
from app.settings import Settings
from tests.support.jobs import get, graph, owner, start_with, worker_of
from tests.support.processes import TOKEN, running_service
from tests.support.receivers import dead_receiver, receiving, url_of
from tests.support.services import Service, User, eventually, free_port
from tests.support.webhooks import (
    PATIENT,
    attempted,
    cancel_with_webhook,
    deliveries,
    delivery,
    new_secret,
    settled,
    start_with_webhook,
)


async def test_a_dead_receiver_delays_neither_jobs_nor_other_receivers(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(**PATIENT)
    with dead_receiver() as dead:
        async with owner(service) as user, receiving() as receiver:
            stuck = [await cancel_with_webhook(user, url_of(dead)) for _ in range(20)]
            reported = [await cancel_with_webhook(user, receiver.url()) for _ in range(10)]
            for job_id in reported:
                await settled(user, job_id, "delivered")
            found = [await delivery(user, job_id) for job_id in stuck]
            assert {(d["status"], d["last_answer"]) for d in found} == {("pending", None)}
            assert sum(d["attempts"] for d in found) <= 4


async def test_a_user_whose_receivers_are_all_dead_delays_nobody_else(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(**PATIENT, webhook_concurrency=8, webhook_concurrency_per_receiver=1)
    with ExitStack() as stack:
        dead = [stack.enter_context(dead_receiver()) for _ in range(10)]
        async with owner(service) as user, owner(service) as other, receiving() as receiver:
            stuck = [await cancel_with_webhook(user, url_of(listener)) for listener in dead]
            reported = [await cancel_with_webhook(other, receiver.url()) for _ in range(3)]
            for job_id in reported:
                await settled(other, job_id, "delivered")
            assert sum([(await delivery(user, job_id))["attempts"] for job_id in stuck]) <= 2


async def test_a_slow_receiver_gets_a_few_at_once_and_all_in_the_end(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(**PATIENT)
    async with owner(service) as user, receiving() as receiver:
        receiver.held.add("/")
        jobs = [await cancel_with_webhook(user, receiver.url()) for _ in range(15)]

        async def is_full() -> bool:
            return receiver.most_at_once == 4

        await eventually(is_full)
        receiver.release()
        for job_id in jobs:
            await settled(user, job_id, "delivered")
        assert receiver.most_at_once == 4
        assert Counter(r.message["data"]["id"] for r in receiver.received) == Counter(jobs)


async def test_two_replicas_deliver_each_message_once(
    start_service: Callable[..., Service],
) -> None:
    one = start_service(**PATIENT)
    two = start_service(like=one)
    async with owner(one) as user, two.client(user.token) as http, receiving() as receiver:
        same = User(user.id, user.token, http)
        jobs = await asyncio.gather(
            *(cancel_with_webhook((user, same)[n % 2], receiver.url()) for n in range(40))
        )
        for job_id in jobs:
            assert (await settled(user, job_id, "delivered"))["attempts"] == 1
        assert Counter(r.message["data"]["id"] for r in receiver.received) == Counter(jobs)
        assert len({request.id for request in receiver.received}) == len(jobs)


async def test_what_one_replica_leaves_another_delivers(
    start_service: Callable[..., Service],
) -> None:
    """The first replica cannot reach the receiver and stops; the second one is not notified."""
    one = start_service(webhook_retry_s=(1,) * 100)
    two = start_service(like=one, fetch_allow=("127.0.0.1",))
    async with owner(two) as user, one.client(user.token) as http, receiving() as receiver:
        job_id = await start_with_webhook(user, receiver.url())
        assert (await http.post(f"/v1/jobs/{job_id}/cancel")).is_success
        await attempted(user, job_id)
        one.stop()
        await settled(user, job_id, "delivered")
        assert len(receiver.received) == 1


async def start_killable(url: str, hook: str, secret: str) -> tuple[User, str, str]:
    """Start and end a job at a service in a process of its own; returns whose, which, the id."""
    user = User("", TOKEN, client_of(url))
    job_id = await cancel_with_webhook(user, hook, secret=secret)
    return user, job_id, (await attempted(user, job_id))["id"]


def client_of(url: str) -> httpx.AsyncClient:
    """Return a client with the token of a service in a process of its own."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=60)


# A lease is twice as long as an attempt: with these the test waits for some seconds only.
KILLABLE: dict[str, Any] = {
    "fetch_allow": ("127.0.0.1",),
    "webhook_timeout_s": 3,
    "webhook_retry_s": (1,) * 50,
}


async def test_a_kill_between_claim_and_answer_costs_no_delivery(
    new_settings: Callable[..., Settings],
) -> None:
    settings = new_settings(port=free_port(), **KILLABLE)
    url = f"http://127.0.0.1:{settings.port}"
    secret = new_secret()
    with dead_receiver() as listener:
        with running_service(settings) as first:
            user, job_id, id_ = await start_killable(url, url_of(listener), secret)
            first.send_signal(signal.SIGKILL)
            first.wait()
        async with user, receiving(listener) as receiver:
            with running_service(settings):
                found = await settled(user, job_id, "delivered", attempts=2)
                assert found["id"] == id_
                assert {request.id for request in receiver.received} == {id_}
                assert receiver.received[-1].verified(secret)["data"]["id"] == job_id


async def test_a_kill_after_the_receiver_has_it_repeats_it_with_the_same_id(
    new_settings: Callable[..., Settings],
) -> None:
    settings = new_settings(port=free_port(), **KILLABLE)
    url = f"http://127.0.0.1:{settings.port}"
    secret = new_secret()
    async with receiving() as receiver:
        receiver.held.add("/")
        with running_service(settings) as first:
            user, job_id, id_ = await start_killable(url, receiver.url(), secret)

            async def has_come() -> bool:
                return bool(receiver.received)

            await eventually(has_come)
            first.send_signal(signal.SIGKILL)
            first.wait()
        before = len(receiver.received)
        receiver.release()
        async with user:
            with running_service(settings):
                await settled(user, job_id, "delivered", attempts=2)
        assert len(receiver.received) > before
        assert {request.id for request in receiver.received} == {id_}
        bodies = {request.body for request in receiver.received}
        assert len(bodies) == 1
        assert receiver.received[-1].verified(secret)["data"]["id"] == job_id


async def test_a_stop_lets_an_attempt_end(start_service: Callable[..., Service]) -> None:
    one = start_service(**PATIENT)
    two = start_service(like=one)
    async with owner(two) as user, receiving() as receiver:
        receiver.held.add("/")
        job_id = await start_with_webhook(user, receiver.url())
        async with one.client(user.token) as http:
            await http.post(f"/v1/jobs/{job_id}/cancel")
        await attempted(user, job_id)

        async def has_come() -> bool:
            return bool(receiver.received)

        await eventually(has_come)
        one.stop()

        async def is_going() -> bool:
            return bool(one.get(Shutdown).has_begun)

        await eventually(is_going)
        receiver.release()
        found = await settled(user, job_id, "delivered")
        assert found["attempts"] == len(receiver.received) == 1


async def test_an_end_that_the_service_makes_is_told(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(**PATIENT, lease_ttl_s=60)
    async with owner(service) as user, receiving() as receiver:
        job = await start_with(user.http, timeout_s=0.3, webhook={"url": receiver.url("/timeout")})
        worker = await worker_of(user)
        await worker.take()
        await settled(user, job["id"], "delivered")
        parent = await start_with_webhook(user, receiver.url("/parent"))
        held = await worker.take()
        child = await user.http.post(
            "/v1/jobs",
            json={"graph": graph(), "webhook": {"url": receiver.url("/child")}},
            headers=held.headers,
        )
        assert child.status_code == 202
        await held.post({"type": "job_update", "status": "failed"})
        await settled(user, parent, "delivered")
        await settled(user, child.json()["id"], "delivered")
        messages = {request.path: request.message for request in receiver.received}
        assert {path: message["type"] for path, message in messages.items()} == {
            "/timeout": "job.failed",
            "/parent": "job.failed",
            "/child": "job.cancelled",
        }
        assert messages["/timeout"]["data"]["error"]["code"] == "timeout"


async def test_a_lost_worker_is_told_once_and_its_late_end_never(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(**PATIENT, lease_ttl_s=0.6, heartbeat_interval_s=0.2)
    async with owner(service) as user, receiving() as receiver:
        job = await start_with(user.http, max_attempts=1, webhook={"url": receiver.url()})
        worker = await worker_of(user)
        [held] = await worker.claim(wait_s=30)
        while (await held.heartbeat()).status_code != 200:  # too late, on a busy machine
            [held] = await worker.claim(wait_s=30)
        found = await settled(user, job["id"], "delivered")
        assert (await held.send({"type": "job_update", "status": "completed"})).status_code == 409
        assert (await get(user, job["id"]))["status"] == "failed"
        assert [d["id"] for d in await deliveries(user, job["id"])] == [found["id"]]
        [request] = receiver.received
        assert request.message["data"]["error"]["code"] == "worker_lost"
