"""Tests of the client with a running service: events of a job over an unreliable network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

import processing_context as pc
from processing_context import Log, ProcessingContext
from tests.support.client_jobs import GRAPH, drained, first_job
from tests.support.manual_worker import HandWorker
from tests.support.network import Network
from tests.support.services import WAIT_S, Service, User


async def test_events_survive_a_network_that_fails(
    ctx: ProcessingContext, network: Network, worker: HandWorker
) -> None:
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    await worker.claim()
    for number in range(6):
        await worker.log(f"{number}a", f"{number}b")
        network.cut()
        network.is_down = number % 2 == 0
        await worker.log(f"{number}c")
        await asyncio.sleep(0.1)
        network.is_down = False
    await worker.complete()
    await asyncio.wait_for(run, WAIT_S)
    messages = drained(ctx)
    assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
    logs = [message.message for message in messages if isinstance(message, Log)]
    assert logs == [f"{number}{letter}" for number in range(6) for letter in "abc"]


async def test_a_restart_of_the_service_goes_unnoticed(
    start_service: Callable[..., Service],
) -> None:
    first = start_service()
    with Network(first.url) as network:
        async with await first.new_user() as user:
            token = user.token
            async with ProcessingContext(base_url=network.url, token=token) as ctx:
                run = asyncio.create_task(ctx.run_worker(GRAPH))
                await first_job(user)
                first.stop()
                second = start_service(like=first)
                network.target = second.url
                network.cut()
                worker = await HandWorker.of(second, user)
                await worker.claim()
                await worker.complete(after="restart")
                assert await asyncio.wait_for(run, WAIT_S) == {"after": "restart"}
                messages = drained(ctx)
                await worker.aclose()
    # The notice that no worker runs the job has no number.
    seqs = [message.seq for message in messages if message.seq is not None]
    assert seqs == list(range(1, len(seqs) + 1))


async def test_events_begin_behind_a_seq_and_end_with_the_job(
    ctx: ProcessingContext, worker: HandWorker
) -> None:
    run = asyncio.create_task(ctx.run_worker(GRAPH))
    job_id = (await worker.claim())["id"]
    await worker.log("one", "two")
    await worker.complete()
    await run
    everything = [event async for event in ctx.job_events(job_id)]
    assert [event.type for event in everything][-3:] == ["log", "log", "job_update"]
    last = everything[-1].seq
    assert last == len(everything)
    assert [event.seq async for event in ctx.job_events(job_id, after=last - 2)] == [last - 1, last]
    nothing = [event async for event in ctx.job_events(job_id, after=last)]
    assert nothing == []


async def test_events_of_nothing_or_of_someone_else_are_not_found(
    ctx: ProcessingContext, network: Network, other: User, user: User
) -> None:
    made = await user.http.post("/v1/jobs", json={"graph": GRAPH})
    async with ProcessingContext(base_url=network.url, token=other.token) as theirs:
        for context, job_id in ((ctx, "0" * 32), (theirs, made.json()["id"])):
            with pytest.raises(pc.NotFoundError):
                await anext(aiter(context.job_events(job_id)))
    with pytest.raises(ValueError, match="job_id"):
        await anext(aiter(ctx.job_events("")))
    with pytest.raises(ValueError, match="after"):
        await anext(aiter(ctx.job_events("x", after=-1)))


async def test_a_token_that_is_revoked_ends_the_reading(
    service: Service, network: Network, user: User
) -> None:
    made = (await user.http.post("/v1/jobs", json={"graph": GRAPH})).json()
    async with service.client() as admin:
        body = {"name": "short", "scopes": ["user"], "user_id": user.id}
        token = (await admin.post("/v1/tokens", json=body)).json()
    async with ProcessingContext(base_url=network.url, token=token["token"]) as reader:
        events = aiter(reader.job_events(made["id"]))
        await asyncio.wait_for(anext(events), WAIT_S)
        assert (await user.http.delete(f"/v1/tokens/{token['id']}")).status_code == 204
        with pytest.raises(pc.AuthenticationError):
            await asyncio.wait_for(anext(events), WAIT_S)
    async with ProcessingContext(base_url=network.url, token="ctx_wrong", user_id="u") as nobody:
        with pytest.raises(pc.AuthenticationError):
            await anext(aiter(nobody.job_events(made["id"])))
