"""Tests of what a worker logs and asks while the service does not answer, or stops."""

from __future__ import annotations

import asyncio
import logging

import pytest

from processing_context.nodes import NodeRegistry
from processing_context.worker.outage import REMIND_S, Outage
from processing_context.worker.worker import Worker, WorkerOptions
from tests.support.loopback import Answer, Asked, Loopback, reply
from tests.support.services import eventually


class Clock:
    """Clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_outage_is_logged_at_its_start_at_its_end_and_rarely_meanwhile(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    outage = Outage(clock)
    with caplog.at_level(logging.INFO):
        for _ in range(1000):
            outage.failed("claim", ConnectionError("refused"))
            outage.failed("worker heartbeat", ConnectionError("refused"))
            clock.now += 0.2
        outage.ended()
        outage.ended()
    assert [record.getMessage() for record in caplog.records] == [
        "claim: refused; it is repeated with back-off",
        "the service answers again after 200.0 s",
    ]


def test_repeated_short_outages_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    outage = Outage(clock)
    with caplog.at_level(logging.INFO):
        for _ in range(100):
            outage.failed("claim", ConnectionError("refused"))
            clock.now += 1
            outage.ended()
        assert len(caplog.records) == 2
        clock.now += REMIND_S
        outage.failed("claim", ConnectionError("refused"))
    assert len(caplog.records) == 3


async def test_claims_that_are_answered_early_and_empty_slow_down() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/claim"):
            return reply({"leases": []})
        return reply({"id": "w", "lease_ttl_s": 30, "heartbeat_interval_s": 10}, 201)

    with Loopback(answer) as server:
        worker = Worker(WorkerOptions(url=server.url, token="ctx_token"), NodeRegistry())

        def claims() -> int:
            return sum(asked.path.endswith("/claim") for asked in server.asked)

        async def has_claimed() -> bool:
            return claims() >= 4

        task = asyncio.create_task(worker.run())
        await eventually(has_claimed)
        before = claims()
        await asyncio.sleep(2)
        # Without back-off there are hundreds; the pauses reach up to 8 s by now.
        assert claims() - before < 10
        worker.drain()
        await task
