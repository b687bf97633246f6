"""Tests of runs that fail: invalid graphs, invalid params, failing nodes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from processing_context.nodes.runner import RunFailedError
from tests.support.graphs import GREETING, Run, failure, gives, graph


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
        ({"a": ("output.AnyOutput", {"value": 1})}, [], "is an output node without a name"),
        (
            {
                "a": ("output.AnyOutput", {"name": "x", "value": 1}),
                "b": ("output.AnyOutput", {"name": "x", "value": 1}),
            },
            [],
            "output names must be unique; used more than once: x",
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


async def test_slot_that_the_annotation_does_not_have_fails_the_node() -> None:
    error = await failure(Run(), graph({"a": ("sample.Misspelled", {})}))
    assert "process returned rihgt; its outputs are left, right" in error.message


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
    assert "characters omitted" in error.message
    assert sum(len(str(m)) for m in run.messages()) < 40_000


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "is a object, which has no JSON form"),
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


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("sample.Exits", "sys.exit(7)"),
        ("sample.Panics", "KeyboardInterrupt('panic')"),
        ("sample.CancelsItself", "the node cancelled itself"),
    ],
)
async def test_node_that_ends_itself_oddly_fails_like_any_other(node: str, said: str) -> None:
    error = await failure(Run(), graph({"a": (node, {}), "s": ("control.Sleep", {"seconds": 30})}))
    assert said in error.message
    assert error.node_id == "a"
