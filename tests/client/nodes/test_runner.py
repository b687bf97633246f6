from __future__ import annotations

import asyncio
from typing import Any

import pytest

from processing_context.nodes.runner import RunFailedError
from processing_context.wire.jobs import JobError
from processing_context.wire.refs import ImageRef
from tests.support import samples
from tests.support.graphs import Run, graph
from tests.support.services import WAIT_S

GREETING = graph(
    {
        "who": ("input.TextInput", {"name": "who", "value": "world"}),
        "text": ("text.Template", {"template": "hello {who}"}),
        "out": ("output.TextOutput", {"name": "greeting"}),
    },
    "who.output > text.who",
    "text.output > out.value",
)


async def failure(run: Run, *args: Any, **params: Any) -> JobError:
    with pytest.raises(RunFailedError) as caught:
        await run.of(*args, **params)
    return caught.value.error


def gives(value: Any, output: str = "output.AnyOutput") -> Any:
    samples.Gives.values["it"] = value
    return graph(
        {"a": ("sample.Gives", {"key": "it"}), "out": (output, {"name": "it"})},
        "a.output > out.value",
    )


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


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"whom": "x"}, "no input node is named whom; the inputs are: who"),
        ({"who": 3}, r"param 'who': input\.TextInput \(who\): value: .*valid string, not 3"),
    ],
)
async def test_wrong_param_is_told(params: dict[str, Any], said: str) -> None:
    with pytest.raises(RunFailedError, match=said):
        await Run().of(GREETING, **params)


@pytest.mark.parametrize(
    "data",
    [
        {"name": "photo"},
        {"name": "photo", "value": {"type": "image", "uri": "", "asset_id": None}},
    ],
)
async def test_param_without_a_value_is_required(data: dict[str, Any]) -> None:
    error = await failure(Run(), graph({"in": ("input.ImageInput", data)}))
    assert (error.code, error.node_id) == ("node_failed", "in")
    assert "param 'photo' is required" in error.message


@pytest.mark.parametrize(
    ("nodes", "edges", "said"),
    [
        (
            {"a": ("image.Blurr", {})},
            [],
            "did you mean image.Blur",
        ),
        (
            {"a": ("sample.Split", {}), "b": ("sample.Split", {})},
            ["a.output > b.value"],
            "sample.Split (a) has no output 'output'; it has: left, right",
        ),
        (
            {"a": ("sample.Split", {}), "b": ("sample.Split", {})},
            ["a.left > b.valeu"],
            "sample.Split (b) has no property 'valeu'; it has: value",
        ),
        (
            {"a": ("sample.Split", {"value": "many"})},
            [],
            "sample.Split (a): value: Input should be a valid integer",
        ),
        (
            {"a": ("sample.Everything", {})},
            [],
            "sample.Everything (a): needed: Field required",
        ),
        (
            {"a": ("image.Blur", {"radius": 99})},
            [],
            "image.Blur (a): radius: Input should be less than or equal to 64, not 99",
        ),
        ({"a": ("output.AnyOutput", {"value": 1})}, [], "needs a name"),
        (
            {
                "a": ("output.AnyOutput", {"name": "x", "value": 1}),
                "b": ("output.AnyOutput", {"name": "x", "value": 1}),
            },
            [],
            "two output nodes have the same name: x",
        ),
        (
            {"a": ("control.Sleep", {}), "b": ("control.Sleep", {})},
            ["a.output > b.value", "b.output > a.value"],
            "the graph has a cycle through: a, b",
        ),
    ],
)
async def test_graph_that_is_wrong_says_what_would_be_right(
    nodes: dict[str, Any], edges: list[str], said: str
) -> None:
    error = await failure(Run(), graph(nodes, *edges))
    assert said in error.message
    assert error.code == "node_failed"


async def test_wrong_node_is_named_to_readers_of_events() -> None:
    run = Run()
    await failure(run, graph({"a": ("image.Blur", {"radius": "wide"})}))
    assert [(m["node_id"], m["status"]) for m in run.messages()][-1] == ("a", "failed")


async def test_value_of_an_unknown_property_is_not_lost_in_silence() -> None:
    run = Run()
    await run.of(graph({"a": ("sample.Split", {"value": 1, "valeu": 2})}))
    assert "no property 'valeu'" in run.messages("log")[0]["message"]


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


async def test_slot_that_the_annotation_does_not_have_fails_the_node() -> None:
    error = await failure(Run(), graph({"a": ("sample.Misspelled", {})}))
    assert "process gave rihgt; its outputs are left, right" in error.message


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


async def test_failing_node_ends_the_run_and_what_depends_on_it_does_not_start() -> None:
    run = Run()
    failing = graph(
        {
            "f": ("control.Fail", {"message": "no luck"}),
            "after": ("control.Sleep", {}),
            "beside": ("control.Sleep", {"seconds": 60}),
        },
        "f.output > after.value",
    )
    error = await asyncio.wait_for(failure(run, failing), 50)
    assert (error.code, error.node_id) == ("node_failed", "f")
    assert error.message == "control.Fail (f): RuntimeError: no luck"
    updates = run.messages("node_update")
    assert [(m["node_id"], m["status"]) for m in updates] == [
        ("f", "running"),
        ("f", "failed"),
        ("beside", "cancelled"),
    ]
    last = {m["node_id"]: m for m in updates}
    assert "in process\n    raise RuntimeError(self.message)" in last["f"]["logs"]
    assert "nodes/runner" not in last["f"]["logs"]


async def test_long_error_fits_an_event_and_says_what_is_left_out() -> None:
    run = Run()
    error = await failure(run, graph({"f": ("control.Fail", {"message": "x" * 1_000_000})}))
    assert len(error.message) < 10_000
    assert "characters left out" in error.message
    assert sum(len(str(m)) for m in run.messages()) < 40_000


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "is a object, which has no form in JSON"),
        (float("nan"), "is nan"),
        ({"deep": [{1}]}, "['deep'][0] is a set"),
    ],
)
async def test_value_that_cannot_be_sent_fails_its_node(value: Any, said: str) -> None:
    run = Run()
    error = await failure(run, gives(value))
    assert (error.code, error.node_id) == ("invalid_result", "a")
    assert said in error.message
    assert [m["node_id"] for m in run.messages("node_update") if m["status"] == "failed"] == ["a"]


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


async def test_stream_that_gave_nothing_fails_what_waits_for_it() -> None:
    error = await failure(
        Run(),
        graph(
            {
                "c": ("sample.Counting", {"to": 0}),
                "out": ("output.NumberOutput", {"name": "n"}),
            },
            "c.right > out.value",
        ),
    )
    assert "sample.Counting (c) gave no value for 'right'" in error.message


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
    samples.InThread.may_end.set()  # the thread, which cannot be stopped, ran until now
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


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("sample.Exits", "sys.exit(7)"),
        ("sample.Panics", "KeyboardInterrupt('panic')"),
        ("sample.CancelsItself", "from within"),
    ],
)
async def test_node_that_ends_itself_oddly_fails_like_any_other(node: str, said: str) -> None:
    error = await failure(Run(), graph({"a": (node, {}), "s": ("control.Sleep", {"seconds": 30})}))
    assert said in error.message
    assert error.node_id == "a"


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
