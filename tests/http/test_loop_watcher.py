"""Tests of the watcher that other tests use to find code that holds the event loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.loop_watcher import watched_loop
from tests.support.services import Service, User


async def compute(seconds: float) -> None:
    """Hold the loop for some CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(1000))


async def test_code_that_holds_the_loop_is_found_with_its_stack(service: Service) -> None:
    with pytest.raises(AssertionError, match=r"held for \d+ ms(.|\n)*compute"):
        async with watched_loop(service):
            await service.run(compute(0.3))


async def test_waiting_and_ordinary_requests_do_not_hold_the_loop(
    service: Service, user: User
) -> None:
    assert (await user.http.get("/v1/assets")).status_code == 200
    async with watched_loop(service) as watcher:
        await service.run(asyncio.sleep(0.3))
        for _ in range(20):
            assert (await user.http.get("/v1/assets")).status_code == 200
    assert watcher.held_s > 0
