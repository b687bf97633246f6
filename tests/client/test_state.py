from __future__ import annotations

from typing import Any

import pytest

from processing_context import Graph, Log, ProcessingContext

GRAPH: dict[str, Any] = {
    "nodes": [
        {"id": "a", "type": "input.TextInput", "data": {"name": "x"}},
        {"id": "b", "type": "text.Concat"},
    ],
    "edges": [
        {"source": "a", "sourceHandle": "output", "target": "b", "targetHandle": "first"},
        {"source": "a", "sourceHandle": "other", "target": "b", "targetHandle": "second"},
    ],
}


def test_a_variable_that_was_never_set_is_the_default() -> None:
    ctx = ProcessingContext(variables={"k": None})
    assert ctx.get("missing", 3) == 3
    assert ctx.get("k", 3) is None
    ctx.set("k", [1])
    assert ctx.get("k") == [1]


def test_a_node_is_found_by_its_id_and_an_absent_one_is_named() -> None:
    ctx = ProcessingContext(graph=GRAPH)
    assert ctx.find_node("b").type == "text.Concat"
    with pytest.raises(ValueError, match="'c'"):
        ctx.find_node("c")


def test_node_inputs_follow_the_edges() -> None:
    ctx = ProcessingContext(graph=Graph.model_validate(GRAPH))
    ctx.set_result("a", {"output": "hello"})
    assert ctx.get_node_inputs("b") == {"first": "hello", "second": None}
    assert ctx.get_node_inputs("a") == {}


def test_a_result_that_is_not_there_is_none() -> None:
    ctx = ProcessingContext(results={"a": {"output": 0}})
    assert ctx.get_result("a", "output") == 0
    assert ctx.get_result("a", "nothing") is None
    assert ctx.get_result("nobody", "output") is None
    with pytest.raises(ValueError, match="list"):
        ctx.set_result("a", [1])  # type: ignore[arg-type]


def test_contexts_do_not_share_what_they_were_made_from() -> None:
    variables, results = {"k": 1}, {"a": {"output": 1}}
    one = ProcessingContext(variables=variables, results=results, graph=GRAPH)
    two = ProcessingContext(variables=variables, results=results, graph=GRAPH)
    one.set("k", 2)
    one.results["a"]["output"] = 2
    one.find_node("a").data["name"] = "y"
    assert (two.get("k"), two.get_result("a", "output")) == (1, 1)
    assert two.find_node("a").data == {"name": "x"}
    assert (variables, results) == ({"k": 1}, {"a": {"output": 1}})
    assert GRAPH["nodes"][0]["data"] == {"name": "x"}


def test_contexts_made_without_anything_share_nothing() -> None:
    one, two = ProcessingContext(), ProcessingContext()
    one.set("k", 1)
    one.set_result("a", {"output": 1})
    assert two.get("k") is None
    assert two.results == {}


def test_a_copy_shares_variables_and_queue_and_owns_its_results() -> None:
    ctx = ProcessingContext(graph=GRAPH, results={"a": {"output": 1}}, node_id="a")
    copy = ctx.copy(node_id="b")
    copy.set("k", 1)
    copy.set_result("a", {"output": 2})
    copy.results["a"]["more"] = 3
    assert ctx.get("k") == 1
    assert ctx.results == {"a": {"output": 1}}
    assert (ctx.node_id, copy.node_id) == ("a", "b")
    message = Log(level="info", message="m")
    ctx.post_message(message)
    assert copy.pop_message() is message
    assert not ctx.has_messages()


def test_storage_urls_are_below_the_base_url() -> None:
    ctx = ProcessingContext(base_url="https://host/prefix/")
    assert ctx.asset_storage_url("k.png") == "https://host/prefix/v1/storage/assets/k.png"
    assert ctx.temp_storage_url("k.png") == "https://host/prefix/v1/storage/temp/k.png"


def test_a_context_without_a_service_says_how_to_name_one() -> None:
    with pytest.raises(ValueError, match="CONTEXT_URL"):
        ProcessingContext().asset_storage_url("k")
    with pytest.raises(ValueError, match="http"):
        ProcessingContext(base_url="localhost:8000")


async def test_url_and_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTEXT_URL", "http://there:1")
    assert ProcessingContext().temp_storage_url("t") == "http://there:1/v1/storage/temp/t"
    assert ProcessingContext(base_url="http://x").temp_storage_url("t").startswith("http://x/")
