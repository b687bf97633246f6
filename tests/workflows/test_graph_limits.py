"""Limits of graphs, over HTTP and the WebSocket, and the time that they hold the event loop."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.jobs import open_socket, owner
from tests.support.loop_watcher import MOST_LARGE_JSON_S, watched_loop
from tests.support.services import Service, User

EDGE = {"sourceHandle": "o", "targetHandle": "i"}


def chain(count: int, **node: Any) -> dict[str, Any]:
    """Return a graph of nodes in a row."""
    nodes = [{"id": str(number), "type": "x", **node} for number in range(count)]
    edges = [{**EDGE, "source": str(n), "target": str(n + 1)} for n in range(count - 1)]
    return {"nodes": nodes, "edges": edges}


def dangling(count: int) -> dict[str, Any]:
    """Return a graph whose edges have no nodes."""
    return {"nodes": [], "edges": [{**EDGE, "source": "a", "target": "b"}] * count}


async def errors_of(user: User, graph: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """Return the errors of a graph on saving, which are those on running, and their count."""
    problems = []
    for path, body in (
        ("/v1/workflows", {"name": "w", "graph": graph}),
        ("/v1/jobs", {"graph": graph}),
    ):
        reply = await user.http.post(path, json=body)
        problem = reply.json()
        assert (reply.status_code, problem["code"]) == (422, "invalid_graph"), reply.text
        assert len(reply.content) < 1024 * 1024
        problems.append((problem["errors"], problem["error_count"]))
    assert problems[0] == problems[1]
    return problems[0]


@pytest.mark.parametrize(
    ("graph", "types"),
    [
        (chain(10_001), ["too_many_nodes"]),
        (dangling(20_001), ["too_many_edges"]),
        (
            {**chain(10_001), "edges": dangling(20_001)["edges"]},
            ["too_many_nodes", "too_many_edges"],
        ),
        ({**dangling(20_001), "nodes": 7}, ["too_many_edges"]),
        ({"nodes": [{"id": "n", "type": "t", "data": {"a": "x" * 4_194_304}}]}, ["too_large"]),
    ],
)
async def test_a_graph_over_a_limit_is_refused(
    user: User, graph: dict[str, Any], types: list[str]
) -> None:
    errors, count = await errors_of(user, graph)
    assert [error["type"] for error in errors] == types
    assert count == len(types)


async def test_a_graph_at_the_limits_is_accepted(user: User) -> None:
    graph = chain(10_000)
    targets = [*((n, "other") for n in range(1, 10_000)), (1, "third"), (2, "third")]
    graph["edges"] += [
        {"source": "0", "sourceHandle": "o", "target": str(n), "targetHandle": handle}
        for n, handle in targets
    ]
    assert (len(graph["nodes"]), len(graph["edges"])) == (10_000, 20_000)
    reply = await user.http.post("/v1/jobs", json={"graph": graph})
    assert reply.status_code == 202, reply.text


async def test_the_first_100_errors_are_described_and_all_are_counted(user: User) -> None:
    errors, count = await errors_of(user, dangling(20_000))
    assert count == 20_000 + 19_999  # each edge dangles, and all but one share an input
    assert len(errors) == 100
    assert [error["edge_index"] for error in errors] == list(range(100))
    loop = chain(5_000)
    loop["edges"].append({**EDGE, "source": "4999", "target": "0"})
    [error], _ = await errors_of(user, loop)
    assert (error["type"], len(error["node_ids"])) == ("cycle", 100)
    assert "5000 nodes" in error["msg"]


async def test_null_in_a_graph_means_absent(user: User) -> None:
    node = {"id": "a", "type": "t", "data": None, "ui_properties": None, "dynamic_properties": None}
    edge = {"id": None, "source": "a", "target": "b", "ui_properties": None, **EDGE}
    graph = {"nodes": [{**node, "parent_id": None}, {"id": "b", "type": "t"}], "edges": [edge]}
    assert (await user.http.post("/v1/jobs", json={"graph": graph})).status_code == 202
    reply = await user.http.post("/v1/workflows", json={"name": "w", "graph": graph})
    assert reply.json()["graph"]["nodes"][0]["data"] == {}
    bare: dict[str, Any] = {"nodes": [], "edges": None}
    assert (await user.http.post("/v1/jobs", json={"graph": bare})).status_code == 202


async def test_a_body_with_many_errors_has_a_small_answer(user: User) -> None:
    body = {"name": "w", "graph": chain(1), "tags": [1] * 200_000}
    reply = await user.http.post("/v1/workflows", json=body)
    assert (reply.status_code, reply.json()["error_count"]) == (422, 200_000)
    body["tags"] = [1] * 500
    reply = await user.http.post("/v1/workflows", json=body)
    assert (len(reply.json()["errors"]), reply.json()["error_count"]) == (100, 500)


BODIES = {
    "chain": {"graph": chain(60_000)},
    "largest chain": {"graph": chain(10_000, data={"text": "x" * 250})},
    "dangling": {"graph": dangling(100_000)},
    "duplicates": {"graph": {"nodes": chain(100_000)["nodes"] * 2, "edges": []}},
    "params": {"graph": chain(1), "params": {"a": [[1, {"b": "c"}]] * 400_000}},
    "unknown fields": {"graph": chain(1), **{f"field {n}": n for n in range(200_000)}},
}


@pytest.mark.parametrize("name", BODIES)
async def test_large_json_does_not_hold_the_loop(service: Service, user: User, name: str) -> None:
    content = json.dumps(BODIES[name], separators=(",", ":"))
    assert 1024 * 1024 < len(content) < 8 * 1024 * 1024
    async with watched_loop(service, most_s=MOST_LARGE_JSON_S):
        reply = await user.http.post("/v1/jobs", content=content, headers=_JSON)
        assert reply.status_code in (202, 422)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/workflows"])
async def test_json_of_1_mib_holds_the_loop_shortly(
    service: Service, user: User, path: str
) -> None:
    graph = chain(6_000, ui_properties={"x": 1.5, "y": 2.5})
    body = {"graph": graph} if path == "/v1/jobs" else {"graph": graph, "name": "w"}
    content = json.dumps(body)
    assert len(content) < 1.1 * 1024 * 1024
    headers = {**_JSON, "Idempotency-Key": "large"}
    async with watched_loop(service):
        reply = await user.http.post(path, content=content, headers=headers)
        assert reply.is_success, reply.text
        made = await user.http.get(f"{path}/{reply.json()['id']}")
        assert len(made.json()["graph"]["nodes"]) == 6_000


async def test_a_large_graph_on_a_socket_does_not_hold_the_loop(service: Service) -> None:
    async with owner(service) as user, open_socket(service, user.token, max_size=None) as socket:
        async with watched_loop(service, most_s=MOST_LARGE_JSON_S):
            await socket.send(op="run", id=1, request={"graph": chain(10_000)})
            frame = await socket.receive()
        assert (frame["type"], len(frame["job"]["graph"]["nodes"])) == ("reply", 10_000)


_JSON = {"Content-Type": "application/json"}
