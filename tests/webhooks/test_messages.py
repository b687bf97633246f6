"""Tests of the messages that are sent when a job ends."""

from __future__ import annotations

import pytest
from standardwebhooks import WebhookVerificationError

from processing_context.wire.webhooks import WebhookMessage
from tests.support.jobs import get, start, worker_of
from tests.support.receivers import Receiver
from tests.support.services import Service, User
from tests.support.webhooks import (
    cancel_with_webhook,
    deliveries,
    delivery,
    new_secret,
    settled,
    start_with_webhook,
)


async def test_a_receiver_verifies_with_the_specifications_library(
    user: User, receiver: Receiver
) -> None:
    secret = new_secret()
    job_id = await start_with_webhook(user, receiver.url("/hook?a=b"), secret=secret)
    held = await (await worker_of(user)).take()
    assert await deliveries(user, job_id) == []
    await held.complete(answer=42, text="ü\x00")
    found = await settled(user, job_id, "delivered")
    [request] = receiver.received
    message = request.verified(secret)
    with pytest.raises(WebhookVerificationError):
        request.verified(new_secret())
    assert (request.method, request.path) == ("POST", "/hook?a=b")
    assert request.headers["content-type"] == "application/json"
    job = await get(user, job_id)
    assert (message["type"], message["timestamp"]) == ("job.completed", job["finished_at"])
    assert message["data"] == {k: v for k, v in job.items() if k not in ("params", "graph")}
    assert message["data"]["result"] == {"answer": 42, "text": "ü\x00"}
    assert WebhookMessage.model_validate(message).data.is_ended
    assert found == {
        "id": request.id,
        "job_id": job_id,
        "type": "job.completed",
        "url": receiver.url("/hook?a=b"),
        "status": "delivered",
        "attempts": 1,
        "next_attempt_at": None,
        "last_answer": {
            "time": found["last_answer"]["time"],
            "status_code": 200,
            "body": "thanks",
            "error": None,
        },
        "created_at": job["finished_at"],
    }


async def test_each_way_to_end_is_told_as_what_it_is(user: User, receiver: Receiver) -> None:
    failed = await start_with_webhook(user, receiver.url("/failed"))
    held = await (await worker_of(user)).take()
    error = {"code": "node_failed", "message": "no", "node_id": "n"}
    await held.post({"type": "job_update", "status": "failed", "error": error})
    cancelled = await cancel_with_webhook(user, receiver.url("/cancelled"))
    await settled(user, failed, "delivered")
    await settled(user, cancelled, "delivered")
    messages = {request.path: request.message for request in receiver.received}
    assert messages["/failed"]["type"] == "job.failed"
    assert messages["/failed"]["data"]["error"] == {**error, "traceback": None}
    assert messages["/cancelled"]["type"] == "job.cancelled"
    assert messages["/cancelled"]["data"]["error"]["code"] == "cancelled"


async def test_only_what_was_asked_for_is_told(user: User, receiver: Receiver) -> None:
    silent = await cancel_with_webhook(
        user, receiver.url("/silent"), events=["completed", "failed"]
    )
    without = await start(user)
    assert (await user.http.post(f"/v1/jobs/{without['id']}/cancel")).is_success
    reported = await cancel_with_webhook(user, receiver.url("/told"), events=["cancelled"])
    await settled(user, reported, "delivered")
    assert await deliveries(user, silent) == []
    assert await deliveries(user, without["id"]) == []
    assert receiver.at("/silent") == []


async def test_two_secrets_sign_both_while_one_takes_the_place_of_the_other(
    user: User, receiver: Receiver
) -> None:
    new, old = new_secret(), new_secret()
    await settled(
        user, await cancel_with_webhook(user, receiver.url(), secret=f"{new} {old}"), "delivered"
    )
    [request] = receiver.received
    assert request.verified(new) == request.verified(old) == request.message
    assert len(request.headers["webhook-signature"].split(" ")) == 2


async def test_without_a_secret_nothing_is_signed(user: User, receiver: Receiver) -> None:
    found = await settled(user, await cancel_with_webhook(user, receiver.url()), "delivered")
    [request] = receiver.received
    assert "webhook-signature" not in request.headers
    assert request.id == found["id"]


async def test_a_retried_job_signs_with_the_same_secret(user: User, receiver: Receiver) -> None:
    secret = new_secret()
    first = await cancel_with_webhook(user, receiver.url("/x"), secret=secret)
    again = (await user.http.post(f"/v1/jobs/{first}/retry")).json()["id"]
    await user.http.post(f"/v1/jobs/{again}/cancel")
    await settled(user, first, "delivered")
    await settled(user, again, "delivered")
    assert {r.verified(secret)["data"]["id"] for r in receiver.received} == {first, again}


async def test_a_secret_is_shown_nowhere_and_stored_sealed(
    sender: Service, user: User, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    secret = new_secret()
    job_id = await cancel_with_webhook(user, receiver.url(), secret=secret)
    await settled(user, job_id, "delivered")
    pool = sender.db.pool
    stored = [
        await sender.run(pool.fetchval(f"select t::text from {table} t where {id_} = $1", job_id))
        for table, id_ in (("jobs", "id"), ("webhook_deliveries", "job_id"))
    ]
    assert all(receiver.url() in text for text in stored)
    job = (await user.http.get(f"/v1/jobs/{job_id}")).text
    seen = [job, str(await delivery(user, job_id)), caplog.text, *stored]
    key = secret.removeprefix("whsec_")
    assert not [text for text in seen if key in text]
    receiver.received[0].verified(secret)
