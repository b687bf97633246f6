"""Tests of the access log: what programs ask periodically is logged at DEBUG."""

from __future__ import annotations

import logging
from collections.abc import Callable

import httpx
import pytest

from app.runtime.shutdown import Shutdown
from tests.support.jobs import held_job, owner, worker_of
from tests.support.services import Service, eventually


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """Return method, path and status of the requests that were logged at a level."""
    return [
        " ".join(record.getMessage().split()[:3])
        for record in caplog.records
        if record.name == "app.access" and record.levelno == level
    ]


async def test_polls_and_heartbeats_are_logged_at_debug_unless_they_fail(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        worker = await worker_of(user)
        with caplog.at_level(logging.DEBUG, "app.access"):
            await worker.claim()
            await user.http.post(f"/v1/workers/{worker.id}/heartbeat")
            await held.heartbeat()
            await user.http.get("/healthz")
            await user.http.get("/readyz")
            await user.http.get("/v1/me")
            await user.http.post("/v1/workers/0/heartbeat")
            await held.complete()

            async def is_logged() -> bool:  # after the response has been sent
                return len(lines(caplog, logging.INFO)) == 3

            await eventually(is_logged)
        polls = lines(caplog, logging.DEBUG)
        assert polls == [
            f"POST /v1/workers/{worker.id}/claim 200",
            f"POST /v1/workers/{worker.id}/heartbeat 200",
            f"POST /v1/jobs/{held.id}/heartbeat 200",
            "GET /healthz 200",
            "GET /readyz 200",
        ]
        assert lines(caplog, logging.INFO) == [
            "GET /v1/me 200",
            "POST /v1/workers/0/heartbeat 404",
            f"POST /v1/jobs/{held.id}/events 200",
        ]


async def test_a_replica_that_stops_refuses_claims_with_retry_after(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    async with owner(service) as user:
        worker = await worker_of(user)
        service.get(Shutdown).begin()
        reply = await worker.http.post(f"/v1/workers/{worker.id}/claim", json={"wait_s": 30})
        assert reply.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert int(reply.headers["retry-after"]) > 0
