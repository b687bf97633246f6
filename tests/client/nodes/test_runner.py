"""Tests of runs of graphs: order of nodes, inputs, outputs and messages."""

from __future__ import annotations

import asyncio
from typing import Any

from processing_context.wire.refs import ImageRef
from tests.support import samples
from tests.support.graphs import GREETING, Run, graph
from tests.support.services import WAIT_S


async def test_params_fill_inputs_and_outputs_have_names() -> None:
    assert await Run().of(GREETING, who="Ada") == {"greeting": "hello Ada"}


async def test_value_in_the_graph_is_the_default_of_a_param() -> None:
    assert await Run().of(GREETING) == {"greeting": "hello world"}


async def test_messages_tell_each_step() -> None:
    run = Run()
    await run.of(GREETING)
    messages = run.messages()
    steps = [(m["node_id"], m.get("status", m["type"])) for m in messages]
    assert steps == [
        ("who", "running"),
        ("who", "completed"),
        ("text", "running"),
        ("text", "completed"),
        ("out", "running"),
        ("out", "output_update"),
        ("out", "completed"),
    ]
    assert messages[3]["result"] == {"output": "hello world"}
    assert (messages[5]["output_name"], messages[5]["value"]) == ("greeting", "hello world")


async def test_named_slots_go_where_their_edges_lead() -> None:
    wired = graph(
        {
            "a": ("sample.Split", {"value": 10}),
            "sum": ("math.Calculate", {"expression": "a * 100 + b"}),
            "out": ("output.NumberOutput", {"name": "n"}),
        },
        "a.left > sum.a",
        "a.right > sum.b",
        "sum.output > out.value",
    )
    assert await Run().of(wired) == {"n": 911}


async def test_independent_nodes_run_side_by_side() -> None:
    run = Run()
    await run.of(graph({f"m{i}": ("sample.Meets", {}) for i in range(5)}))
    assert len([m for m in run.messages("node_update") if m["status"] == "completed"]) == 5


async def test_node_starts_with_its_inputs_not_with_its_level() -> None:
    run = Run()
    samples.Waits.opened.clear()
    slow_and_fast = graph(
        {
            "slow": ("sample.Waits", {}),
            "fast": ("sample.Split", {}),
            "after_fast": ("sample.Opens", {}),
        },
        "fast.left > after_fast.value",
    )
    await run.of(slow_and_fast)
    begun = [m["node_id"] for m in run.messages("node_update") if m["status"] == "running"]
    assert begun.index("slow") < begun.index("after_fast")


async def test_bytes_stay_in_memory_between_nodes() -> None:
    run = Run()
    image = ImageRef(data=b"x" * 5_000_000)
    samples.Gives.values["it"] = image
    samples.Takes.taken.clear()
    result = await run.of(
        graph(
            {
                "a": ("sample.Gives", {"key": "it"}),
                "b": ("sample.Takes", {}),
                "out": ("output.AnyOutput", {"name": "it"}),
            },
            "a.output > b.image",
            "b.output > out.value",
        )
    )
    assert samples.Takes.taken[0] is image
    assert result["it"]["uri"] == "https://example.com/a.bin"
    assert sum(len(str(m)) for m in run.messages()) < 5_000


async def test_streamed_text_is_chunks_and_goes_on_whole() -> None:
    run = Run()
    result = await run.of(
        graph(
            {
                "w": ("sample.Words", {"text": "one two three"}),
                "out": ("output.TextOutput", {"name": "t"}),
            },
            "w.output > out.value",
        )
    )
    assert result == {"t": "one two three "}
    assert [m["chunk"] for m in run.messages("node_progress")] == ["one ", "two ", "three "]


async def test_last_value_of_a_stream_goes_on_and_each_is_told() -> None:
    run = Run()
    result = await run.of(
        graph(
            {
                "c": ("sample.Counting", {"to": 3}),
                "out": ("output.NumberOutput", {"name": "n"}),
            },
            "c.right > out.value",
        )
    )
    assert result == {"n": -3}
    told = [m["value"] for m in run.messages("output_update") if m["output_name"] == "left"]
    assert told == [1, 2, 3]


async def test_plain_def_runs_in_a_thread_and_does_not_hold_the_loop() -> None:
    run = Run()
    await run.of(graph({f"t{i}": ("sample.MeetsInThread", {}) for i in range(8)}))
    assert len([m for m in run.messages("node_update") if m["status"] == "completed"]) == 8


async def test_cancelled_run_stops_its_nodes() -> None:
    run = Run()
    samples.InThread.may_end.clear()
    both = graph({"s": ("control.Sleep", {"seconds": 600}), "t": ("sample.InThread", {})})
    task = asyncio.create_task(run.of(both))
    while (await run.context.pop_message_async()).type != "node_progress":
        pass
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=WAIT_S)
    samples.InThread.may_end.set()  # the thread cannot be stopped and ran until now
    assert done
    assert task.cancelled()
    last = {m["node_id"]: m["status"] for m in run.messages("node_update")}
    assert last == {"s": "cancelled", "t": "cancelled"}


async def test_muted_run_says_nothing_more() -> None:
    run = Run()
    task = asyncio.create_task(run.of(graph({"s": ("control.Sleep", {"seconds": 60})})))
    await run.context.pop_message_async()
    run.messages()
    run.runner.mute()
    task.cancel()
    await asyncio.wait({task})
    assert run.messages() == []


async def test_node_sees_its_inputs_and_its_id_in_the_context() -> None:
    looking = graph(
        {
            "n": ("input.IntegerInput", {"name": "n", "value": 4}),
            "l": ("sample.Looks", {}),
            "out": ("output.AnyOutput", {"name": "seen"}),
        },
        "n.output > l.a",
        "l.output > out.value",
    )
    result = await Run(looking).of(looking)
    assert result == {"seen": {"inputs": {"a": 4}, "node": "l"}}


async def test_long_chain_keeps_only_what_is_still_to_be_read() -> None:
    length = 600
    nodes: dict[str, Any] = {"n0": ("input.IntegerInput", {"name": "x", "value": 0})}
    nodes |= {f"n{i}": ("math.Calculate", {"b": 1}) for i in range(1, length)}
    nodes["out"] = ("output.NumberOutput", {"name": "y"})
    edges = [f"n{i}.output > n{i + 1}.a" for i in range(length - 1)]
    chain = graph(nodes, *edges, f"n{length - 1}.output > out.value")
    run = Run()
    assert await run.of(chain) == {"y": length - 1}
    assert len(run.context.results) == 0
