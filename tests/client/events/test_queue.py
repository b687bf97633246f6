from __future__ import annotations

import asyncio
import queue
import threading

import pytest

from processing_context import Log, NodeProgress, ProcessingContext
from tests.support.services import WAIT_S


def log(text: str) -> Log:
    return Log(level="info", message=text)


def test_messages_come_out_in_the_order_of_posting() -> None:
    ctx = ProcessingContext()
    assert not ctx.has_messages()
    ctx.post_message(log("1"))
    ctx.post_message(log("2"))
    assert ctx.has_messages()
    assert [ctx.pop_message().message, ctx.pop_message().message] == ["1", "2"]  # type: ignore[union-attr]
    with pytest.raises(LookupError):
        ctx.pop_message()


def test_a_dict_of_the_shape_of_a_message_comes_out_as_one() -> None:
    ctx = ProcessingContext()
    ctx.post_message({"type": "log", "level": "info", "message": "1"})  # type: ignore[arg-type]
    assert ctx.pop_message() == log("1")


def test_what_is_no_message_is_refused() -> None:
    ctx = ProcessingContext()
    for nothing in ("hello", None, {"type": "nonsense"}, {"type": "log"}):
        with pytest.raises(ValueError, match="valid"):
            ctx.post_message(nothing)  # type: ignore[arg-type]
    assert not ctx.has_messages()


async def test_messages_of_many_threads_all_arrive_each_thread_in_order() -> None:
    ctx = ProcessingContext()

    def post(name: str) -> None:
        for number in range(500):
            ctx.post_message(NodeProgress(node_id=name, progress=number, total=500))

    threads = [threading.Thread(target=post, args=(f"n{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    seen: dict[str, list[float]] = {}
    for _ in range(8 * 500):
        message = await asyncio.wait_for(ctx.pop_message_async(), WAIT_S)
        assert isinstance(message, NodeProgress)
        seen.setdefault(message.node_id, []).append(message.progress)
    for thread in threads:
        thread.join()
    assert all(numbers == list(range(500)) for numbers in seen.values())
    assert not ctx.has_messages()


async def test_a_waiter_that_gives_up_takes_no_message_with_it() -> None:
    ctx = ProcessingContext()
    waiters = [asyncio.create_task(ctx.pop_message_async()) for _ in range(2)]
    await asyncio.sleep(0)
    ctx.post_message(log("only"))
    waiters[0].cancel()  # woken, and cancelled before it could run
    message = await asyncio.wait_for(waiters[1], WAIT_S)
    assert message.message == "only"  # type: ignore[union-attr]


async def test_a_queue_given_as_queue_queue_is_used() -> None:
    given: queue.Queue[Log] = queue.Queue()
    ctx = ProcessingContext(message_queue=given)
    ctx.post_message(log("1"))
    assert given.get_nowait().message == "1"
    thread = threading.Timer(0.05, lambda: given.put(log("2")))
    thread.start()
    assert (await asyncio.wait_for(ctx.pop_message_async(), WAIT_S)).message == "2"  # type: ignore[union-attr]
    with pytest.raises(LookupError):
        ctx.pop_message()
    thread.join()


async def test_a_queue_given_as_asyncio_queue_takes_posts_of_threads() -> None:
    given: asyncio.Queue[Log] = asyncio.Queue()
    ctx = ProcessingContext(message_queue=given)
    await asyncio.to_thread(ctx.post_message, log("1"))
    assert (await asyncio.wait_for(given.get(), WAIT_S)).message == "1"
    with pytest.raises(LookupError):
        ctx.pop_message()


def test_something_else_is_no_queue() -> None:
    with pytest.raises(ValueError, match="list"):
        ProcessingContext(message_queue=[])  # type: ignore[arg-type]
