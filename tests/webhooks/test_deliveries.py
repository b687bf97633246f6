"""Tests of the routes for webhook deliveries, and of their access control."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.jobs import owner, worker_of
from tests.support.misbehaving_server import reply
from tests.support.receivers import Receiver
from tests.support.services import Service, User
from tests.support.sweeps import sweep
from tests.support.webhooks import (
    PATIENT,
    cancel_with_webhook,
    deliveries,
    settled,
    start_with_webhook,
)


async def test_a_deleted_job_takes_its_deliveries_along(user: User, receiver: Receiver) -> None:
    receiver.answers["/"] = [reply(b"", 500)] * 3
    job_id = await cancel_with_webhook(user, receiver.url())
    await settled(user, job_id, "failed")
    other = await cancel_with_webhook(user, receiver.url("/other"))
    await settled(user, other, "delivered")
    assert (await user.http.delete(f"/v1/jobs/{job_id}")).status_code == 204
    assert (await user.http.get(f"/v1/jobs/{job_id}/webhooks")).status_code == 404
    assert len(await deliveries(user, other)) == 1


async def test_somebody_elses_deliveries_are_not_found(
    sender: Service, user: User, receiver: Receiver
) -> None:
    async with owner(sender) as other:
        mine = await cancel_with_webhook(user, receiver.url())
        his = await cancel_with_webhook(other, receiver.url())
        found = await settled(user, mine, "delivered")
        await settled(other, his, "delivered")
        again = f"webhooks/{found['id']}/redeliver"
        unknown = "0" * 32
        for method, path, code in [
            ("GET", f"{mine}/webhooks", "job_not_found"),
            ("POST", f"{mine}/{again}", "job_not_found"),
            ("POST", f"{his}/{again}", "delivery_not_found"),
            ("GET", f"{unknown}/webhooks", "job_not_found"),
            ("POST", f"{his}/webhooks/{unknown}/redeliver", "delivery_not_found"),
            ("POST", f"{his}/webhooks/x/redeliver", "delivery_not_found"),
        ]:
            refused = await other.http.request(method, f"/v1/jobs/{path}")
            assert (refused.status_code, refused.json()["code"]) == (404, code), path
        assert len(receiver.received) == 2


async def test_a_job_token_sees_no_webhooks(user: User, receiver: Receiver) -> None:
    job_id = await start_with_webhook(user, receiver.url())
    held = await (await worker_of(user)).take()
    for method, path in (("GET", "webhooks"), ("POST", f"webhooks/{'0' * 32}/redeliver")):
        refused = await user.http.request(method, f"/v1/jobs/{job_id}/{path}", headers=held.headers)
        assert refused.status_code == 403


GOOD = "whsec_" + "A" * 32


@pytest.mark.parametrize(
    ("webhook", "code"),
    [
        ({"url": "http://127.0.0.1/"}, "url_not_allowed"),
        ({"url": "http://localhost/"}, "url_not_allowed"),
        ({"url": "http://169.254.169.254/latest/meta-data/"}, "url_not_allowed"),
        ({"url": "http://[::1]/"}, "url_not_allowed"),
        ({"url": "http://2130706433/"}, "url_not_allowed"),
        ({"url": "ftp://8.8.8.8/"}, "url_not_allowed"),
        ({"url": "file:///etc/passwd"}, "url_not_allowed"),
        ({"url": "http://me:password@8.8.8.8/"}, "url_not_allowed"),
        ({"url": "nothing"}, "url_not_allowed"),
        ({"url": ""}, "validation_error"),
        ({"url": 1}, "validation_error"),
        ({}, "validation_error"),
        ({"url": "http://8.8.8.8/", "events": ["job.completed"]}, "validation_error"),
        ({"url": "http://8.8.8.8/", "events": []}, "validation_error"),
        ({"url": "http://8.8.8.8/", "surprise": 1}, "validation_error"),
        ({"url": "http://8.8.8.8/", "secret": ""}, "validation_error"),
        ({"url": "http://8.8.8.8/", "secret": "topsecret"}, "validation_error"),
        ({"url": "http://8.8.8.8/", "secret": "whsec_c2hvcnQ="}, "validation_error"),
        ({"url": "http://8.8.8.8/", "secret": "whsec_" + "-" * 32}, "validation_error"),
        ({"url": "http://8.8.8.8/", "secret": f"{GOOD},{GOOD}"}, "validation_error"),
        ({"url": "http://8.8.8.8/", "secret": f"{GOOD} "}, "validation_error"),
        ({"url": "http://8.8.8.8/", "secret": "whsec_" + "A" * 96}, "validation_error"),
    ],
)
async def test_a_wrong_webhook_is_refused_with_the_job(
    service: Service, webhook: dict[str, Any], code: str
) -> None:
    async with owner(service) as user:
        body = {"graph": {"nodes": []}, "webhook": webhook}
        refused = await user.http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k"})
        assert (refused.status_code, refused.json()["code"]) == (422, code), refused.text
        assert "topsecret" not in refused.text
        assert (await user.http.get("/v1/jobs")).json()["jobs"] == []
        body["webhook"] = {"url": "http://8.8.8.8/", "secret": GOOD.rstrip("=")}
        made = await user.http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k"})
        assert made.status_code == 202


async def test_old_deliveries_are_swept_with_the_events(
    start_service: Callable[..., Service], receiver: Receiver
) -> None:
    service = start_service(**PATIENT, webhook_retry_s=(10_000,))
    receiver.answers["/later"] = [reply(b"", 500)]
    async with owner(service) as user:
        reported = await cancel_with_webhook(user, receiver.url())
        await settled(user, reported, "delivered")
        waiting = await cancel_with_webhook(user, receiver.url("/later"))
        await settled(user, waiting, "pending")
        old = datetime.now(UTC) - timedelta(days=31)
        aged = f"{int(old.timestamp() * 1000):012x}"
        statement = "update webhook_deliveries set id = $1 || substr(id, 13)"
        await service.run(service.db.pool.execute(statement, aged))
        what = {"expired webhook deliveries": 1}
        assert await sweep(service.settings, event_retention_days=32) == {}
        assert await sweep(service.settings, dry=True) == what
        assert await sweep(service.settings) == what
        assert await deliveries(user, reported) == []
        assert len(await deliveries(user, waiting)) == 1
