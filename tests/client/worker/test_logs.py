"""Tests of what nodes print and log: it becomes events of their own job, and of no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.graphs import graph
from tests.support.jobs import Event, events_of, owner, start
from tests.support.services import Service, User
from tests.support.worker_processes import WorkerProcess, ended_job, worker_process

WITH_NODES = ("--nodes", "tests.support.printing_nodes", "--slots", "4")
SPOKEN = [("info", "out"), ("warning", "err"), ("info", "logged"), ("warning", "warned")]


@pytest_asyncio.fixture
async def worker(service: Service) -> AsyncIterator[tuple[User, WorkerProcess]]:
    async with owner(service) as user, worker_process(service, user, *WITH_NODES) as running:
        yield user, running


async def events_after(user: User, nodes: dict[str, Any], *edges: str) -> list[Event]:
    """Run a graph, and return its events."""
    job = await start(user, graph=graph(nodes, *edges).model_dump())
    ended = await ended_job(user, job["id"])
    assert ended["status"] == "completed", ended["error"]
    return await all_events(user, job["id"])


async def all_events(user: User, job_id: str) -> list[Event]:
    events: list[Event] = []
    while page := await events_of(user, job_id, after=len(events)):
        events += page
    return events


def lines(events: list[Event], node_id: str = "n") -> list[tuple[str, str]]:
    return [
        (event["level"], event["message"])
        for event in events
        if event["type"] == "log" and event.get("node_id") == node_id
    ]


def spoken(text: str) -> list[tuple[str, str]]:
    return [(level, f"{text} {how}") for level, how in SPOKEN]


async def test_output_of_coroutines_threads_and_processes_becomes_events(
    worker: tuple[User, WorkerProcess],
) -> None:
    user, process = worker
    events = await events_after(
        user,
        {
            "a": ("printing.Speaks", {"text": "a"}),
            "t": ("printing.SpeaksInThread", {"text": "t"}),
            "p": ("printing.SpeaksInProcess", {"text": "p"}),
        },
    )
    assert lines(events, "a") == [
        *spoken("a"),
        ("info", "a of the task"),
        ("info", "a of the pool"),
    ]
    assert lines(events, "t") == spoken("t")
    of_process = lines(events, "p")
    assert [line for line in of_process if line in spoken("p")] == spoken("p")
    assert sorted(of_process) == sorted(
        [
            *spoken("p"),
            ("info", "p descriptor"),
            ("warning", "p error descriptor"),
            ("info", "p child"),
            ("info", "p without an end"),
        ]
    )
    for node in "atp":
        own = [event for event in events if event.get("node_id") == node]
        assert own[0]["status"] == "running"
        assert own[-1]["status"] == "completed"
    assert "a logged" not in process.log()


async def test_output_that_belongs_to_no_node_crosses_to_no_job(service: Service) -> None:
    async with (
        owner(service) as first,
        owner(service) as second,
    ):
        token = await service.new_token(first.id, ("worker", "fleet"))
        async with worker_process(service, token, *WITH_NODES) as process:
            jobs = {}
            for user, text in ((first, "mine"), (second, "theirs")):
                node = ("printing.SpeaksElsewhere", {"text": text})
                after = ("control.Sleep", {"seconds": 1})
                drawn = graph({"n": node, "s": after}, "n.output > s.value")
                jobs[text] = user, (await start(user, graph=drawn.model_dump()))["id"]
            for text, (user, job_id) in jobs.items():
                assert (await ended_job(user, job_id))["status"] == "completed"
                events = await all_events(user, job_id)
                assert [e for e in events if e["type"] == "log" and "node_id" not in e] == []
                assert lines(events) == [("info", f"{text} of the node")]
                assert f"{text} 49 logged" in process.log()


async def test_a_fork_does_not_send_events(worker: tuple[User, WorkerProcess]) -> None:
    user, _ = worker
    events = await events_after(user, {"n": ("printing.Forked", {"text": "x"})})
    assert lines(events) == [("info", "x of the node")]


@pytest.mark.parametrize("node", ["PrintsMany", "PrintsManyInThread"])
async def test_many_lines_arrive_in_order_and_delay_no_other_node(
    worker: tuple[User, WorkerProcess], node: str
) -> None:
    user, _ = worker
    events = await events_after(
        user,
        {
            "n": (f"printing.{node}", {}),
            "after": ("printing.Speaks", {"text": "after"}),
            "ticks": ("printing.Ticks", {}),
        },
        "n.output > after.after",
    )
    assert lines(events) == [("info", f"line {number}") for number in range(10_000)]
    chunks = [e["chunk"] for e in events if e["type"] == "node_progress"]
    assert "".join(chunks) == "".join(f"{tick};" for tick in range(20))
    order = [
        (event["node_id"], event["status"])
        for event in events
        if event["type"] == "node_update" and event["node_id"] != "ticks"
    ]
    assert order == [
        ("n", "running"),
        ("n", "completed"),
        ("after", "running"),
        ("after", "completed"),
    ]
    last_line = max(e["seq"] for e in events if e["type"] == "log" and e["node_id"] == "n")
    first_tick = min(e["seq"] for e in events if e["type"] == "node_progress")
    assert first_tick < last_line - 1000


async def test_a_job_that_fails_or_is_cancelled_keeps_the_lines_before(
    worker: tuple[User, WorkerProcess],
) -> None:
    user, _ = worker
    printing = ("printing.PrintsManyInThread", {"lines": 3_000})
    failing = graph({"n": printing, "f": ("control.Fail", {})}, "n.output > f.value")
    job = await start(user, graph=failing.model_dump())
    assert (await ended_job(user, job["id"]))["status"] == "failed"
    events = await all_events(user, job["id"])
    assert len(lines(events)) == 3_000
    assert events[-1]["type"] == "job_update"
