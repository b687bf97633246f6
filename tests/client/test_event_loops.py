"""Tests of a context in several threads and event loops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from processing_context import ContextError, ProcessingContext
from tests.support.services import Service, User

Call = Callable[[ProcessingContext], Awaitable[object]]
CALLS: dict[str, Call] = {
    "an API call": lambda ctx: ctx.list_assets(page_size=5),
    "a batched call": lambda ctx: ctx.create_asset("x", "text/plain", b"x"),
    "an upload": lambda ctx: ctx.create_asset("x", "a/b", bytes(2_000_000)),
    "the stream of a job": lambda ctx: ctx.run_worker({"nodes": [], "edges": []}),
}


def in_a_thread(work: Callable[[], None]) -> None:
    """Run a function in a new thread; raise its exception here."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as exc:
            raised.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_another_loop_is_refused_at_once(service: Service, user: User, call: Call) -> None:
    async with ProcessingContext(base_url=service.url, token=user.token) as ctx:

        def use() -> None:
            asyncio.run(asyncio.wait_for(call(ctx), 60))

        with pytest.raises(ContextError, match="event loop"):
            await asyncio.to_thread(in_a_thread, use)
        assert (await ctx.list_assets()).assets == []


async def test_a_context_that_was_not_entered_belongs_to_its_first_loop(
    service: Service, user: User
) -> None:
    ctx = ProcessingContext(base_url=service.url, token=user.token)
    outcomes: list[str] = []
    start, end = threading.Barrier(4), threading.Barrier(4)

    async def use() -> None:
        start.wait(60)
        try:
            await ctx.list_assets()
            outcomes.append("done")
        except ContextError:
            outcomes.append("refused")
        end.wait(60)
        await ctx.aclose()

    threads = [threading.Thread(target=asyncio.run, args=(use(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert sorted(outcomes) == ["done", "refused", "refused", "refused"]
