"""Tests of jobs whose creating request also streams their events."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httpx
import pytest

from processing_context import Log, ProcessingContext
from tests.support.manual_worker import HandWorker
from tests.support.services import Service, User

GRAPH: dict[str, Any] = {
    "nodes": [{"id": "in", "type": "input.AnyInput", "data": {"name": "x", "value": 0}}],
    "edges": [],
}


async def run(service: Service, user: User, ctx: ProcessingContext) -> list[str]:
    """Run a job in a context; return the types of its events."""
    worker = await HandWorker.of(service, user)
    running = asyncio.create_task(ctx.run_worker(GRAPH))
    await worker.claim()
    await worker.log("one", "two")
    await worker.complete(n=3)
    await worker.aclose()
    assert await running == {"n": 3}
    messages = []
    while ctx.has_messages():
        messages.append(ctx.pop_message())
    assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
    return [message.message for message in messages if isinstance(message, Log)]


async def test_a_run_that_nothing_breaks_needs_no_socket(
    service: Service, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "processing_context._events.stream", None)
    async with ProcessingContext(base_url=service.url, token=user.token) as ctx:
        assert await run(service, user, ctx) == ["one", "two"]


async def test_a_run_holds_no_connection_of_a_callers_own_client(
    service: Service, user: User
) -> None:
    async with (
        httpx.AsyncClient(limits=httpx.Limits(max_connections=1)) as http,
        ProcessingContext(base_url=service.url, token=user.token, http_client=http) as ctx,
    ):
        worker = await HandWorker.of(service, user)
        running = asyncio.create_task(ctx.run_worker(GRAPH))
        job = await worker.claim()
        assert (await ctx.get_job(job["id"])).status == "running"
        await worker.complete(n=3)
        await worker.aclose()
        assert await running == {"n": 3}
