"""Tests of the client with a running service: a context with the token of a job."""

from __future__ import annotations

import asyncio

import pytest

import processing_context as pc
from processing_context import JobUpdate, Log, ProcessingContext
from tests.support.client_jobs import GRAPH, drained
from tests.support.manual_worker import HandWorker
from tests.support.network import Network
from tests.support.services import Service, User


async def test_inside_a_job_messages_go_to_its_events(
    ctx: ProcessingContext, network: Network, worker: HandWorker
) -> None:
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    job = await worker.claim(begin=False)
    async with ProcessingContext(
        base_url=network.url, token=worker.token, job_id=job["id"], user_id=job["user_id"]
    ) as inside:
        assert inside.outbox is not None
        inside.post_message(JobUpdate(status="running"))
        for number in range(1000):
            inside.post_message(Log(level="info", message=str(number)))
            if number % 300 == 0:
                network.cut()
                await asyncio.sleep(0.05)
        inside.post_message(JobUpdate(status="completed", result={"ok": True}))
        await inside.flush()
        late: list[pc.ContextError] = []
        inside.outbox.on_lost = late.append
        inside.post_message(Log(level="info", message="too late"))
        with pytest.raises(pc.ContextError):
            await inside.flush()
        assert len(late) == 1
    assert await run == {"ok": True}
    logs = [message.message for message in drained(ctx) if isinstance(message, Log)]
    assert logs == [str(number) for number in range(1000)]


async def test_messages_of_a_child_job_stay_out_of_its_parents_events(
    ctx: ProcessingContext, network: Network, worker: HandWorker, user: User, service: Service
) -> None:
    outer = asyncio.create_task(ctx.run_worker(GRAPH))
    parent = await worker.claim()
    parent_token = worker.token
    async with ProcessingContext(
        base_url=network.url, token=parent_token, job_id=parent["id"], user_id=parent["user_id"]
    ) as inside:
        inner = asyncio.create_task(inside.run_worker(GRAPH))
        helper = await HandWorker.of(service, user)
        child = await helper.claim()
        assert child["parent_job_id"] == parent["id"]
        await helper.log("of the child")
        await helper.complete(n=1)
        assert await inner == {"n": 1}
        assert "of the child" in [m.message for m in drained(inside) if isinstance(m, Log)]
        await helper.aclose()
    await worker.complete()
    await outer
    assert "of the child" not in [m.message for m in drained(ctx) if isinstance(m, Log)]
