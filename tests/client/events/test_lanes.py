"""Tests of the order of events that wait to be sent: lines of one node do not delay others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from processing_context import JobUpdate, Log, NodeProgress, NodeUpdate
from processing_context._events import buffer
from processing_context._events.buffer import MAX_BATCH_LINES, Pending


def line(text: object, node_id: str = "n") -> Log:
    return Log(level="info", message=str(text), node_id=node_id)


def done(node_id: str) -> NodeUpdate:
    return NodeUpdate(node_id=node_id, node_name=node_id, status="completed")


def batch(pending: Pending) -> list[dict[str, Any]]:
    return [json.loads(event) for event in pending.take_batch()]


def everything(pending: Pending) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while taken := batch(pending):
        events += taken
    assert (len(pending), pending.size) == (0, 0)
    return events


def test_events_of_other_nodes_pass_the_lines_of_one() -> None:
    pending = Pending()
    for number in range(1000):
        pending.add(line(number))
    pending.add(NodeProgress(node_id="other", progress=1, total=2))
    first = batch(pending)
    assert first[0]["node_id"] == "other"
    assert len(first) == 1 + MAX_BATCH_LINES
    rest = everything(pending)
    assert [event["message"] for event in first[1:] + rest] == [str(n) for n in range(1000)]


def test_later_events_of_the_same_node_follow_its_lines_and_the_end_follows_all() -> None:
    pending = Pending()
    for number in range(300):
        pending.add(line(number))
    pending.add(done("n"))
    pending.add(JobUpdate(status="completed", result={}))
    pending.add(done("other"))
    events = everything(pending)
    assert [e.get("node_id") for e in events if e["type"] == "node_update"] == ["other", "n"]
    assert [event["type"] for event in events[-2:]] == ["node_update", "job_update"]


def test_nodes_that_print_take_turns() -> None:
    pending = Pending()
    for number in range(500):
        pending.add(line(number, "a"))
    for number in range(5):
        pending.add(line(number, "b"))
    first = batch(pending)
    assert [event["message"] for event in first if event["node_id"] == "b"] == list("01234")


def test_few_lines_join_the_other_events_and_many_do_not() -> None:
    pending = Pending()
    pending.add(line("few"))
    assert pending.join_lane("n")
    pending.add(done("n"))
    assert [event["type"] for event in everything(pending)] == ["log", "node_update"]
    for number in range(MAX_BATCH_LINES + 1):
        pending.add(line(number))
    assert not pending.join_lane("n")


def test_lines_without_room_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "MAX_UNPACED_BYTES", 1000)
    pending = Pending()
    for number in range(100):
        pending.add(line(number))
    *kept, omitted = everything(pending)
    assert [event["message"] for event in kept] == [str(n) for n in range(len(kept))]
    assert omitted["message"].startswith(f"{100 - len(kept)} log lines omitted")
