"""Tests of branches: which nodes of a run are skipped, and what the others receive."""

from __future__ import annotations

from typing import Any

import pytest

from processing_context.wire.graph import Graph
from processing_context.wire.refs import ImageRef
from tests.support import samples
from tests.support.graphs import Run, Spec, graph


@pytest.fixture(autouse=True)
def _no_effects() -> None:
    samples.Effect.seen.clear()


IF = ("control.If", {"condition": True, "value": "hi"})
IF_NOT = ("control.If", {"condition": False, "value": "hi"})
OUT = ("output.AnyOutput", {"name": "out"})


async def outcome(of: Graph, **params: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Run a graph; return its result and the last status of each node."""
    run = Run()
    result = await run.of(of, **params)
    return result, {m["node_id"]: m["status"] for m in run.messages("node_update")}


def branches(condition: bool) -> Graph:
    return graph(
        {
            "if": ("control.If", {"condition": condition, "value": "hi"}),
            "yes": ("output.AnyOutput", {"name": "yes"}),
            "no": ("output.AnyOutput", {"name": "no"}),
        },
        "if.if_true > yes.value",
        "if.if_false > no.value",
    )


@pytest.mark.parametrize(
    ("condition", "taken", "other"), [(True, "yes", "no"), (False, "no", "yes")]
)
async def test_the_output_of_the_other_branch_is_left_out(
    condition: bool, taken: str, other: str
) -> None:
    result, states = await outcome(branches(condition))
    assert result == {taken: "hi"}
    assert states == {"if": "completed", taken: "completed", other: "skipped"}


async def test_null_is_a_value() -> None:
    result, states = await outcome(
        graph({"if": ("control.If", {"condition": True}), "out": OUT}, "if.if_true > out.value")
    )
    assert result == {"out": None}
    assert states == {"if": "completed", "out": "completed"}


async def test_a_node_with_edges_and_no_value_is_skipped_even_if_it_has_defaults() -> None:
    result, states = await outcome(
        graph(
            {"if": IF, "text": ("sample.Effect", {"value": "default"}), "out": OUT},
            "if.if_false > text.value",
            "text.output > out.value",
        )
    )
    assert result == {}
    assert states == {"if": "completed", "text": "skipped", "out": "skipped"}
    assert samples.Effect.seen == []


async def test_skipping_goes_on_down_the_branch_and_has_no_effects() -> None:
    chain: dict[str, Spec] = {f"e{i}": ("sample.Effect", {}) for i in range(5)}
    _, states = await outcome(
        graph(
            {"if": IF, **chain},
            "if.if_false > e0.value",
            *(f"e{i}.output > e{i + 1}.value" for i in range(4)),
        )
    )
    assert states == {"if": "completed"} | dict.fromkeys(chain, "skipped")
    assert samples.Effect.seen == []


async def test_an_input_without_a_value_takes_its_default_where_another_has_one() -> None:
    joined = graph(
        {
            "if": IF,
            "text": ("input.TextInput", {"name": "t", "value": "text"}),
            "both": ("sample.Pair", {"second": "of the graph"}),
            "class": ("sample.Pair", {}),
            "out": OUT,
            "out2": ("output.AnyOutput", {"name": "out2"}),
        },
        *("text.output > both.first", "if.if_false > both.second"),
        *("text.output > class.first", "if.if_false > class.second"),
        *("both.output > out.value", "class.output > out2.value"),
    )
    result, states = await outcome(joined)
    assert result == {"out": ["text", "of the graph"], "out2": ["text", "of the class"]}
    assert set(states.values()) == {"completed"}


@pytest.mark.parametrize("handle", ["needed", "image", "made"])
async def test_without_a_required_value_or_a_file_a_node_is_skipped(handle: str) -> None:
    wanting = graph(
        {
            "if": IF,
            "n": ("input.TextInput", {"name": "n", "value": "x"}),
            "w": ("sample.Wants", {}),
        },
        "n.output > w.title",
        f"if.if_false > w.{handle}",
        *([] if handle == "needed" else ["n.output > w.needed"]),
    )
    _, states = await outcome(wanting)
    assert states == {"if": "completed", "n": "completed", "w": "skipped"}


@pytest.mark.parametrize("saved", [None, {"type": "image", "uri": "", "asset_id": None}])
async def test_an_unset_value_in_the_graph_is_no_default(saved: Any) -> None:
    wanting = graph(
        {
            "if": IF,
            "n": ("input.TextInput", {"name": "n", "value": "x"}),
            "w": ("sample.Wants", {"image": saved}),
        },
        "n.output > w.needed",
        "if.if_false > w.image",
    )
    assert (await outcome(wanting))[1]["w"] == "skipped"


async def test_a_file_in_the_graph_is_a_default() -> None:
    ref = {"type": "image", "uri": "", "asset_id": "a1"}
    wanting = graph(
        {
            "if": IF,
            "n": ("input.TextInput", {"name": "n", "value": "x"}),
            "w": ("sample.Wants", {"image": ref}),
            "out": OUT,
        },
        "n.output > w.needed",
        "if.if_false > w.image",
        "w.output > out.value",
    )
    result, states = await outcome(wanting)
    assert states["w"] == "completed"
    assert result == {"out": "a1"}


async def test_a_stream_without_a_value_skips_what_depends_on_it_alone() -> None:
    result, states = await outcome(
        graph(
            {"c": ("sample.Counting", {"to": 0}), "out": ("output.NumberOutput", {"name": "n"})},
            "c.right > out.value",
        )
    )
    assert result == {}
    assert states == {"c": "completed", "out": "skipped"}


@pytest.mark.parametrize(("first", "taken"), [(IF, "from_true"), (IF_NOT, "from_false")])
async def test_a_merge_continues_with_the_branch_that_was_taken(first: Any, taken: str) -> None:
    joined = graph(
        {
            "if": first,
            "t": ("text.Template", {"template": "from_true"}),
            "f": ("text.Template", {"template": "from_false"}),
            "m": ("control.Merge", {"a": None, "b": None}),
            "out": OUT,
        },
        *("if.if_true > t.value", "if.if_false > f.value"),
        *("t.output > m.a", "f.output > m.b", "m.output > out.value"),
    )
    result, states = await outcome(joined)
    skipped = "f" if taken == "from_true" else "t"
    assert result == {"out": taken}
    assert {node for node, status in states.items() if status == "skipped"} == {skipped}


async def test_a_merge_takes_the_first_input_and_null_is_one() -> None:
    nodes: dict[str, Spec] = {
        "one": ("input.AnyInput", {"name": "one", "value": 1}),
        "null": ("sample.Gives", {"key": "null"}),
        "m": ("control.Merge", {}),
        "out": OUT,
    }
    samples.Gives.values["null"] = None
    edges = ["one.output > m.b", "null.output > m.a", "m.output > out.value"]
    assert (await outcome(graph(nodes, *edges)))[0] == {"out": None}
    edges = ["one.output > m.other", "null.output > m.more", "m.output > out.value"]
    assert (await outcome(graph(nodes, *edges)))[0] == {"out": 1}


async def test_a_merge_of_branches_that_were_not_taken_is_skipped() -> None:
    result, states = await outcome(
        graph(
            {"if": IF, "other": IF, "m": ("control.Merge", {"a": "x"}), "out": OUT},
            *("if.if_false > m.a", "other.if_false > m.b", "m.output > out.value"),
        )
    )
    assert result == {}
    assert (states["m"], states["out"]) == ("skipped", "skipped")


async def test_editor_nodes_do_not_run_and_reroutes_lead_on() -> None:
    reroute: Spec = ("nodetool.control.Reroute", {})
    drawn = graph(
        {
            "note": ("nodetool.workflows.base_node.Comment", {"comment": "hello"}),
            "in": ("input.IntegerInput", {"name": "in", "value": 4}),
            "r": reroute,
            "s": reroute,
            "loose": reroute,
            "look": ("sample.Looks", {}),
            "out": OUT,
            "seen": ("output.AnyOutput", {"name": "seen"}),
        },
        *("in.output > r.input_value", "r.output > s.input_value", "s.output > out.value"),
        *("s.output > look.a", "loose.output > in.value", "look.output > seen.value"),
    )
    run = Run(drawn)
    assert await run.of(drawn) == {
        "out": 4,
        "seen": {"inputs": {"a": 4}, "node": "look"},
    }
    states = {m["node_id"]: m["status"] for m in run.messages("node_update")}
    assert states == dict.fromkeys(("in", "look", "out", "seen"), "completed")


async def test_bytes_pass_a_branch_untouched() -> None:
    samples.Gives.values["it"] = image = ImageRef(data=b"x" * 5_000)
    samples.Takes.taken.clear()
    await outcome(
        graph(
            {
                "g": ("sample.Gives", {"key": "it"}),
                "if": ("control.If", {"condition": True}),
                "t": ("sample.Takes", {}),
            },
            "g.output > if.value",
            "if.if_true > t.image",
        )
    )
    assert samples.Takes.taken[0] is image
