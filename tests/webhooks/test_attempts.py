"""Tests of delivery attempts: outcomes by the response of the receiver."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from pydantic import SecretStr

from tests.support.jobs import owner
from tests.support.misbehaving_server import reply
from tests.support.receivers import Receiver
from tests.support.services import WAIT_S, Service, User, eventually
from tests.support.webhooks import (
    PATIENT,
    cancel_with_webhook,
    new_secret,
    redeliver,
    settled,
    start_with_webhook,
)


@pytest.mark.parametrize(
    ("status", "words"), [(500, "500"), (404, "404"), (302, "Redirects are not followed")]
)
async def test_what_is_not_2xx_is_tried_again_with_the_same_id(
    user: User, receiver: Receiver, status: int, words: str
) -> None:
    path = f"/{status}"
    receiver.answers[path] = [
        reply(b"no \xff\x00", status, Location="http://127.0.0.1:1/elsewhere"),
        reply(b"", 204),
    ]
    secret = new_secret()
    job_id = await cancel_with_webhook(user, receiver.url(path), secret=secret)
    found = await settled(user, job_id, "delivered", attempts=2)
    one, two = receiver.received
    assert one.id == two.id == found["id"]
    assert one.verified(secret) == two.verified(secret)
    assert (found["attempts"], found["last_answer"]["status_code"]) == (2, 204)
    receiver.answers[path] = [reply(b"no \xff\x00", status)] * 3
    given_up = await settled(user, await cancel_with_webhook(user, receiver.url(path)), "failed")
    assert given_up["attempts"] == 3
    assert given_up["next_attempt_at"] is None
    assert given_up["last_answer"]["body"] == "no \ufffd\ufffd"
    assert words in given_up["last_answer"]["error"]


async def test_gone_is_the_end_of_it(user: User, receiver: Receiver) -> None:
    receiver.answers["/"] = [reply(b"", 410)]
    found = await settled(user, await cancel_with_webhook(user, receiver.url()), "failed")
    assert (found["attempts"], found["last_answer"]["status_code"]) == (1, 410)


async def test_an_answer_is_cut(user: User, receiver: Receiver) -> None:
    receiver.answers["/"] = [reply(b"x" * 1_000_000)]
    found = await settled(user, await cancel_with_webhook(user, receiver.url()), "delivered")
    assert found["last_answer"]["body"] == "x" * 4096


async def test_a_failure_waits_for_its_pause_or_as_long_as_the_receiver_asks(
    start_service: Callable[..., Service], receiver: Receiver
) -> None:
    service = start_service(**PATIENT, webhook_retry_s=(1000, 5000))
    receiver.answers["/asks"] = [reply(b"", 503, Retry_After="3000")]
    receiver.answers["/asks_too_much"] = [reply(b"", 429, Retry_After="1000000")]
    receiver.answers["/asks_little"] = [reply(b"", 503, Retry_After="1")]
    receiver.answers["/"] = [reply(b"", 500)]
    async with owner(service) as user:
        jobs = {
            path: await cancel_with_webhook(user, receiver.url(path))
            for path in ("/", "/asks", "/asks_too_much", "/asks_little")
        }
        pauses = {}
        for path, job_id in jobs.items():
            found = await settled(user, job_id, "pending")
            begun, following = (
                datetime.fromisoformat(moment)
                for moment in (found["last_answer"]["time"], found["next_attempt_at"])
            )
            pauses[path] = (following - begun).total_seconds()
    # An attempt takes a while itself; on a busy machine some seconds.
    assert 900 <= pauses["/"] <= 1100 + WAIT_S
    assert 900 <= pauses["/asks_little"] <= 1100 + WAIT_S
    assert 3000 <= pauses["/asks"] <= 3000 + WAIT_S
    assert 5000 <= pauses["/asks_too_much"] <= 5000 + WAIT_S


async def test_it_is_delivered_again_on_demand_with_all_its_attempts(
    user: User, receiver: Receiver
) -> None:
    receiver.answers["/"] = [reply(b"", 500)] * 5
    job_id = await cancel_with_webhook(user, receiver.url())
    failed = await settled(user, job_id, "failed", attempts=3)
    assert len(receiver.received) == 3
    pending = await redeliver(user, job_id, failed["id"])
    assert (pending["status"], pending["id"]) == ("pending", failed["id"])
    delivered = await settled(user, job_id, "delivered", attempts=6)
    assert delivered["attempts"] == len(receiver.received) == 6
    await redeliver(user, job_id, failed["id"])
    await settled(user, job_id, "delivered", attempts=7)
    assert {request.id for request in receiver.received} == {failed["id"]}


async def test_what_cannot_be_sent_at_all_ends_like_any_failure(
    sender: Service, user: User, receiver: Receiver
) -> None:
    receiver.answers["/"] = [reply(b"", 500)] * 3
    job_id = await cancel_with_webhook(user, receiver.url(), secret=new_secret())
    failed = await settled(user, job_id, "failed", attempts=3)
    broken = "update webhook_deliveries set secret = 'no base64' where id = $1"
    await sender.run(sender.db.pool.execute(broken, failed["id"]))
    await redeliver(user, job_id, failed["id"])
    failed = await settled(user, job_id, "failed", attempts=6)
    assert failed["last_answer"]["error"] == "The service failed to send the message."
    assert len(receiver.received) == 3


async def test_why_nothing_can_be_sent_is_told_in_the_delivery(
    start_service: Callable[..., Service], receiver: Receiver
) -> None:
    """The address is checked at the delivery, since a name may resolve differently by then."""
    lenient = start_service(**PATIENT)
    async with owner(lenient) as user:
        job_id = await start_with_webhook(user, receiver.url())
        signed = await start_with_webhook(user, receiver.url(), secret=new_secret())
        nowhere = await start_with_webhook(user, "http://nowhere.invalid/")
    lenient.stop()
    strict = start_service(like=lenient, fetch_allow=(), secret_key=SecretStr("another"))
    async with User(user.id, user.token, strict.client(user.token)) as same:
        for id_ in (job_id, nowhere, signed):
            await same.http.post(f"/v1/jobs/{id_}/cancel")
        refused = await settled(same, job_id, "pending")
        assert "does not resolve to, a public address" in refused["last_answer"]["error"]
        assert refused["last_answer"]["status_code"] is None
        unknown = await settled(same, nowhere, "pending")
        assert "The host nowhere.invalid cannot be resolved" in unknown["last_answer"]["error"]
        unreadable = await settled(same, signed, "pending")
        assert "CONTEXT_SECRET_KEY has changed" in unreadable["last_answer"]["error"]
    assert receiver.received == []


async def test_attempts_are_counted(user: User, receiver: Receiver) -> None:
    await settled(user, await cancel_with_webhook(user, receiver.url()), "delivered")

    async def are_counted() -> bool:
        metrics = (await user.http.get("/metrics")).text
        return 'context_webhook_attempts_total{status="delivered"}' in metrics

    await eventually(are_counted)
