"""Helpers for tests of webhooks: jobs that send them, and their deliveries."""

from __future__ import annotations

import base64
import os
from typing import Any

from tests.support.jobs import start
from tests.support.services import User, eventually

Delivery = dict[str, Any]

PATIENT: dict[str, Any] = {"fetch_allow": ("127.0.0.1",), "webhook_timeout_s": 600}
"""Settings under which no attempt times out, even on a slow machine."""


def new_secret() -> str:
    """Return a new secret in the format of the specification."""
    return "whsec_" + base64.b64encode(os.urandom(24)).decode()


async def start_with_webhook(user: User, url: str, **webhook: Any) -> str:
    """Create a job with a webhook; return its id."""
    job = await start(user, webhook={"url": url, **webhook})
    return str(job["id"])


async def cancel_with_webhook(user: User, url: str, **webhook: Any) -> str:
    """Create a job with a webhook and cancel it; return its id."""
    job_id = await start_with_webhook(user, url, **webhook)
    reply = await user.http.post(f"/v1/jobs/{job_id}/cancel")
    assert reply.json()["status"] == "cancelled", reply.text
    return job_id


async def deliveries(user: User, job_id: str) -> list[Delivery]:
    """Return the deliveries of a job."""
    reply = await user.http.get(f"/v1/jobs/{job_id}/webhooks")
    assert reply.status_code == 200, reply.text
    page = reply.json()
    assert page["next"] is None
    found: list[Delivery] = page["deliveries"]
    return found


async def delivery(user: User, job_id: str) -> Delivery:
    """Return the only delivery of a job."""
    [only] = await deliveries(user, job_id)
    return only


async def settled(user: User, job_id: str, status: str, *, attempts: int = 1) -> Delivery:
    """Return the delivery of a job once it has a status, after at least `attempts` attempts."""
    found: Delivery = {}

    async def has_it() -> bool:
        for one in await deliveries(user, job_id):
            found.update(one)
        answered = found.get("last_answer") is not None
        return answered and found["status"] == status and found["attempts"] >= attempts

    await eventually(has_it)
    return found


async def attempted(user: User, job_id: str, *, attempts: int = 1) -> Delivery:
    """Return the delivery of a job once `attempts` attempts have started."""
    found: Delivery = {}

    async def have_begun() -> bool:
        found.update(await delivery(user, job_id))
        return bool(found["attempts"] >= attempts)

    await eventually(have_begun)
    return found


async def redeliver(user: User, job_id: str, delivery_id: str) -> Delivery:
    """Redeliver a webhook; return its delivery."""
    reply = await user.http.post(f"/v1/jobs/{job_id}/webhooks/{delivery_id}/redeliver")
    assert reply.status_code == 202, reply.text
    made: Delivery = reply.json()
    return made
