from __future__ import annotations

import queue
from typing import Any

import pytest

from processing_context import NodeUpdate, ProcessingContext
from processing_context._events.buffer import Pending, encode
from processing_context.nodes.runner.plan import Plan, PlannedNode
from processing_context.nodes.runner.reporter import NodeReporter
from tests.support.graphs import Run, graph, registry

NAMES = ["plain", 'a "quoted" \\ name', "Übergröße 🎈", "line\nbreak"]


def planned(name: str) -> PlannedNode:
    node = graph({"n-1": ("input.TextInput", {"name": name, "value": "x"})})
    return Plan(node, registry(), {}).nodes["n-1"]


def update(node: PlannedNode, status: Any, **fields: Any) -> NodeUpdate:
    return NodeUpdate(
        node_id=node.id, node_name=node.name, node_type=node.type, status=status, **fields
    )


def told(context: ProcessingContext) -> list[Any]:
    messages = []
    while context.has_messages():
        messages.append(context.pop_message())
    return messages


@pytest.mark.parametrize("name", NAMES)
def test_what_is_put_together_by_hand_is_what_the_model_says(name: str) -> None:
    context, node = ProcessingContext(), planned(name)
    sent = Pending()
    teller = NodeReporter(context)
    teller.running(node)
    teller.completed(node, {"output": b'{"a":[1,null]}', 'other "slot"': b'"text"'})
    teller.completed(node, {})
    teller.cancelled(node)
    expected = [
        update(node, "running"),
        update(node, "completed", result={"output": {"a": [1, None]}, 'other "slot"': "text"}),
        update(node, "completed", result={}),
        update(node, "cancelled"),
    ]
    messages = list(context._core.messages._messages)  # type: ignore[attr-defined]
    for message in messages:
        sent.add(message)
    assert sent.take_batch() == [encode(model) for model in expected]
    assert told(context) == expected


def test_a_queue_of_the_callers_gets_models() -> None:
    given: queue.Queue[Any] = queue.Queue()
    node = planned("name")
    NodeReporter(ProcessingContext(message_queue=given)).running(node)
    assert given.get_nowait() == update(node, "running")


def test_nothing_is_told_once_muted() -> None:
    context, node = ProcessingContext(), planned("name")
    teller = NodeReporter(context)
    teller.mute()
    teller.running(node)
    teller.failed(node, error="e", logs="")
    assert told(context) == []


async def test_a_name_that_no_event_can_carry_is_replaced_by_the_title() -> None:
    run = Run()
    await run.of(graph({"a": ("input.TextInput", {"name": "a\0b", "value": "x"})}))
    assert [message["node_name"] for message in run.messages()] == ["Text Input", "Text Input"]


def test_an_update_that_is_too_large_is_refused() -> None:
    context, node = ProcessingContext(), planned("n" * 70_000)
    NodeReporter(context).running(node)
    with pytest.raises(ValueError, match="the node_update event has 70"):
        Pending().add(context._core.messages._messages[0])  # type: ignore[attr-defined]
