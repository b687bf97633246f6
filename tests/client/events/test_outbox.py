from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import processing_context as pc
from processing_context import Log, NodeProgress, NodeUpdate, OutputUpdate, ProcessingContext
from processing_context._events import buffer, outbox
from processing_context._events.buffer import Pending
from processing_context._transport import retry
from tests.support.loopback import DROP, Answer, Asked, Loopback, in_turn, problem, reply
from tests.support.services import WAIT_S, eventually

ACCEPTED = {"last_seq": 1, "cancel_requested": False, "lease_expires_at": None}


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_S", 0.01)


def log(text: object, node_id: str | None = None) -> Log:
    return Log(level="info", message=str(text), node_id=node_id)


def progress(node_id: str, done: float, chunk: str = "") -> NodeProgress:
    return NodeProgress(node_id=node_id, progress=done, total=10, chunk=chunk)


def in_job(server: Loopback) -> ProcessingContext:
    return ProcessingContext(base_url=server.url, token="job_t", user_id="u", job_id="j")


async def is_full(ctx: ProcessingContext) -> None:
    """Wait until the queue is full while a batch is in flight."""

    async def holds() -> bool:
        outbox = ctx.outbox
        assert outbox is not None
        return outbox._in_flight > 0 and not outbox._pending.has_room()

    await eventually(holds)


class Ledger:
    """Fake event log: stores each number once, refuses gaps."""

    def __init__(self, answers: Callable[[Asked], Answer] | None = None) -> None:
        self.stored: list[dict[str, Any]] = []
        self.batches: list[int] = []
        self._answers = answers or in_turn(reply(ACCEPTED))

    def __call__(self, asked: Asked) -> Answer:
        assert asked.path == "/v1/jobs/j/events"
        events = asked.json()["events"]
        said = self._answers(asked)
        if said.status in (0, 200):  # a request whose reply is lost was stored, too
            assert len(asked.body) <= 1024 * 1024 + 1000
            self.batches.append(len(events))
            for event in events:
                number = event.pop("client_seq")
                assert number <= len(self.stored) + 1, "a gap"
                if number == len(self.stored) + 1:
                    self.stored.append(event)
        return said


def texts(ledger: Ledger) -> list[str]:
    return [event["message"] for event in ledger.stored]


async def test_messages_of_a_job_are_stored_in_order_each_once() -> None:
    ledger = Ledger()
    with Loopback(ledger) as server:
        async with in_job(server) as ctx:
            for number in range(1200):
                ctx.post_message(log(number))
            await ctx.flush()
            assert texts(ledger) == [str(number) for number in range(1200)]
            assert ctx.has_messages()
    assert max(ledger.batches) == 500


async def test_a_lost_reply_stores_nothing_twice() -> None:
    ledger = Ledger(in_turn(DROP, problem(503, "away"), DROP, reply(ACCEPTED)))
    with Loopback(ledger) as server:
        async with in_job(server) as ctx:
            for number in range(10):
                ctx.post_message(log(number))
    assert texts(ledger) == [str(number) for number in range(10)]


async def test_leaving_the_context_sends_what_is_left() -> None:
    ledger = Ledger()
    with Loopback(ledger) as server:
        async with in_job(server) as ctx:
            ctx.post_message(log("last"))
    assert texts(ledger) == ["last"]


async def test_only_a_lease_token_with_its_job_has_an_event_log() -> None:
    assert ProcessingContext(base_url="http://h", token="ctx_t", job_id="j").outbox is None
    assert ProcessingContext(base_url="http://h", token="job_t").outbox is None
    assert ProcessingContext(base_url="http://h", token="job_t", job_id="j").outbox is not None


async def test_threads_may_post_and_a_full_queue_only_delays_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(buffer, "MAX_PENDING_EVENTS", 20)
    go = threading.Event()

    def answer(_asked: Asked) -> Answer:
        go.wait(WAIT_S)
        return reply(ACCEPTED)

    ledger = Ledger(answer)
    with Loopback(ledger) as server:
        async with in_job(server) as ctx:
            posted: list[int] = []

            def post() -> None:
                for number in range(200):
                    ctx.post_message(log(number))
                    posted.append(number)

            thread = threading.Thread(target=post)
            thread.start()
            await is_full(ctx)
            await asyncio.sleep(0.1)  # time in which it could continue
            assert 20 <= len(posted) < 60  # the queue, and the events of the first batch
            go.set()
            await asyncio.to_thread(thread.join)
            await ctx.flush()
    assert texts(ledger) == [str(number) for number in range(200)]


async def test_the_loop_itself_is_never_blocked_and_can_wait_for_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(buffer, "MAX_PENDING_EVENTS", 20)
    ledger = Ledger()
    with Loopback(ledger) as server:
        async with in_job(server) as ctx:
            assert ctx.outbox is not None
            for number in range(500):
                ctx.post_message(log(number))
            await asyncio.wait_for(ctx.outbox.drain(), WAIT_S)
            assert len(ctx.outbox._pending) < 20
    assert len(ledger.stored) == 500


async def test_an_event_over_the_limit_is_refused_and_the_rest_goes_on() -> None:
    ledger = Ledger()
    with Loopback(ledger) as server:
        async with in_job(server) as ctx:
            large = OutputUpdate(node_id="n", node_name="n", output_name="o", value="x" * 70_000)
            with pytest.raises(ValueError, match="temporary file"):
                ctx.post_message(large)
            with pytest.raises(ValueError, match="must be finite numbers"):
                ctx.post_message(progress("n", float("nan")))
            ctx.post_message(log("\x00 ünïcode 😀"))
    assert texts(ledger) == ["\x00 ünïcode 😀"]


async def test_large_batches_stay_below_a_mebibyte() -> None:
    ledger = Ledger()
    with Loopback(ledger) as server:
        async with in_job(server) as ctx:
            for number in range(60):
                ctx.post_message(log(f"{number}" + "x" * 60_000))
    assert len(ledger.stored) == 60
    assert max(ledger.batches) <= 17


async def test_a_cancel_request_is_told_once() -> None:
    told: list[int] = []
    ledger = Ledger(in_turn(reply(ACCEPTED | {"cancel_requested": True})))
    with Loopback(ledger) as server:
        async with in_job(server) as ctx:
            assert ctx.outbox is not None
            ctx.outbox.on_cancel = lambda: told.append(threading.get_ident())
            for number in range(3):
                ctx.post_message(log(number))
                await ctx.flush()
    assert told == [threading.get_ident()]


@pytest.mark.parametrize(
    "refusal",
    [problem(409, "lease_lost"), problem(409, "job_ended"), problem(401, "unauthorized")],
)
async def test_a_lost_lease_is_told_once_and_ends_everything(refusal: Answer) -> None:
    told: list[pc.ContextError] = []
    with Loopback(in_turn(refusal)) as server:
        async with in_job(server) as ctx:
            assert ctx.outbox is not None
            ctx.outbox.on_lost = told.append
            ctx.post_message(log("late"))
            with pytest.raises(pc.APIError):
                await ctx.flush()
            with pytest.raises(pc.APIError):
                ctx.post_message(log("later"))
    assert len(server.asked) == 1
    assert len(told) == 1
    assert outbox.is_lost(told[0])


async def test_a_thread_that_waits_for_room_hears_of_the_lost_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(buffer, "MAX_PENDING_EVENTS", 5)
    go = threading.Event()

    def answer(_asked: Asked) -> Answer:
        go.wait(WAIT_S)
        return problem(409, "lease_lost")

    def post() -> None:
        for number in range(100):
            ctx.post_message(log(number))

    with Loopback(answer) as server:
        async with in_job(server) as ctx:
            posting = asyncio.create_task(asyncio.to_thread(post))
            await is_full(ctx)
            go.set()
            with pytest.raises(pc.ConflictError):
                await asyncio.wait_for(posting, WAIT_S)


def batch(*events: Any) -> list[dict[str, Any]]:
    import json

    pending = Pending()
    for event in events:
        pending.add(event)
    taken = [json.loads(event) for event in pending.take_batch()]
    assert (len(pending), pending.size) == (0, 0)
    return taken


def test_progress_of_a_node_is_merged_and_no_chunk_is_lost() -> None:
    merged = batch(
        progress("a", 1, "x"), progress("b", 1), progress("a", 2), progress("a", 3, "yz")
    )
    assert [(e["node_id"], e["progress"], e["chunk"]) for e in merged] == [
        ("a", 3, "xyz"),
        ("b", 1, ""),
    ]


def test_progress_is_not_moved_before_what_its_node_said_in_between() -> None:
    done = NodeUpdate(node_id="a", node_name="A", status="completed")
    assert [e["type"] for e in batch(progress("a", 1), done, progress("a", 2))] == [
        "node_progress",
        "node_update",
        "node_progress",
    ]
    assert len(batch(progress("a", 1), log("to all"), progress("a", 2))) == 3
    assert len(batch(progress("a", 1), log("other", node_id="b"), progress("a", 2))) == 2


def test_chunks_that_would_be_too_long_together_stay_apart() -> None:
    events = batch(*(progress("a", i, "é" * 10_000) for i in range(10)))
    assert 3 < len(events) < 10
    assert "".join(event["chunk"] for event in events) == "é" * 100_000


def test_what_the_service_adds_is_not_sent() -> None:
    event = Log(level="info", message="m", job_id="j", seq=4, attempt=2)
    assert batch(event) == [{"type": "log", "level": "info", "message": "m"}]
