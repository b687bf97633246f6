"""Checks of graphs by the catalogue, when workflows are saved and jobs are created."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from processing_context.nodes.builtin.inputs import TextInput
from processing_context.nodes.builtin.outputs import TextOutput
from processing_context.nodes.metadata import describe
from tests.support.catalogue import graph_of, node, publish, run
from tests.support.jobs import open_socket, owner, refusal
from tests.support.services import Service, User


@pytest_asyncio.fixture
async def author(service: Service) -> AsyncIterator[User]:
    """A user whose token may register workers."""
    async with owner(service) as user:
        yield user


async def warnings(user: User, graph: dict[str, Any]) -> list[dict[str, Any]]:
    """Save a workflow; return its warnings."""
    reply = await user.http.post("/v1/workflows", json={"name": "w", "graph": graph})
    assert reply.status_code == 201, reply.text
    found: list[dict[str, Any]] = reply.json()["warnings"]
    return found


async def test_a_graph_with_errors_is_saved_with_warnings_and_not_run(author: User) -> None:
    await publish(author, node("a.One", width="int"))
    graph = graph_of("a.One", widht=5)
    problem = {
        "type": "unknown_property",
        "msg": "a.One (a): unknown property widht: did you mean width?",
        "node_ids": ["a"],
    }
    reply = await run(author, graph)
    assert refusal(reply) == (422, "invalid_graph")
    assert reply.json()["errors"] == [problem]
    assert problem["msg"] in reply.json()["detail"]
    made = await author.http.post("/v1/workflows", json={"name": "w", "graph": graph})
    assert made.json()["warnings"] == [problem]
    workflow = made.json()["id"]
    assert refusal(await author.http.post(f"/v1/workflows/{workflow}/run")) == (
        422,
        "invalid_graph",
    )
    batch = {"jobs": [{"graph": graph_of("a.One")}, {"workflow_id": workflow}]}
    reply = await author.http.post("/v1/jobs/batch", json=batch)
    assert refusal(reply) == (422, "invalid_graph")
    assert "jobs.1" in reply.json()["detail"]
    mended = {"graph": graph_of("a.One", width=5)}
    changed = await author.http.patch(f"/v1/workflows/{workflow}", json=mended)
    assert changed.json()["warnings"] == []
    assert (await author.http.get(f"/v1/workflows/{workflow}")).json()["warnings"] == []
    assert (await author.http.post(f"/v1/workflows/{workflow}/run")).status_code == 202


async def test_a_job_over_the_socket_is_checked_too(service: Service, author: User) -> None:
    await publish(author, node("a.One", width="int"))
    async with open_socket(service, author.token) as socket:
        await socket.send(op="run", id=1, request={"graph": graph_of("a.One", widht=1)})
        problem = await socket.receive()
        assert (problem["type"], problem["problem"]["code"]) == ("problem", "invalid_graph")


async def test_the_problems_of_a_graph_are_listed_with_their_edges(author: User) -> None:
    described = node("a.One", width="int", name="str")
    described["properties"][0]["required"] = True
    described["outputs"] = [{"name": "output", "type": "str"}]
    await publish(author, described)
    ids = ("a", "b", "c")
    nodes = [{"id": name, "type": "a.One", "data": {}} for name in ids]
    nodes[0]["data"] = {"width": "wide"}
    edges = [
        {"source": "a", "sourceHandle": "outptu", "target": "b", "targetHandle": "width"},
        {"source": "a", "sourceHandle": "output", "target": "c", "targetHandle": "name"},
    ]
    reply = await run(author, {"nodes": nodes, "edges": edges})
    found = {(each["type"], *each["node_ids"]) for each in reply.json()["errors"]}
    assert found == {("invalid_value", "a"), ("unknown_handle", "a"), ("missing_input", "c")}
    [handle] = [each for each in reply.json()["errors"] if "edge_index" in each]
    assert handle["edge_index"] == 0


async def test_an_unknown_type_is_a_warning_of_the_job_and_of_its_lists(author: User) -> None:
    await publish(author, node("a.One"))
    reply = await run(author, graph_of("b.Two", any=1))
    assert reply.status_code == 202
    warning = {
        "type": "unknown_node_type",
        "msg": "no worker has registered the node type b.Two",
        "node_ids": ["a"],
    }
    job = reply.json()
    assert job["warnings"] == [warning]
    assert (await author.http.get(f"/v1/jobs/{job['id']}")).json()["warnings"] == [warning]
    [listed] = (await author.http.get("/v1/jobs")).json()["jobs"]
    assert [each["type"] for each in listed["warnings"]] == ["unknown_node_type"]
    assert await warnings(author, graph_of("b.Two", any=1)) == [warning]
    batch = {"jobs": [{"graph": graph_of("b.Two")}, {"graph": graph_of("a.One")}]}
    made = (await author.http.post("/v1/jobs/batch", json=batch)).json()["jobs"]
    assert [each["warnings"] for each in made] == [[warning], []]
    read = (await author.http.get(f"/v1/jobs/{made[0]['id']}")).json()
    assert read["warnings"] == [warning]
    cancelled = await author.http.post(f"/v1/jobs/{made[0]['id']}/cancel")
    assert cancelled.json()["warnings"] == [warning]
    again = await author.http.post(f"/v1/jobs/{made[0]['id']}/retry")
    assert again.json()["warnings"] == [warning]
    assert (await run(author, graph_of("a.One"))).json()["warnings"] == []


async def test_without_any_catalogue_every_graph_is_only_warned_about(user: User) -> None:
    reply = await run(user, graph_of("image.Blur", radius="wide"))
    assert reply.status_code == 202
    assert [each["type"] for each in reply.json()["warnings"]] == ["unknown_node_type"]


async def test_a_graph_is_refused_only_if_every_version_refuses_it(author: User) -> None:
    await publish(author, node("a.One", width="int"))
    await publish(author, node("a.One", breadth="int"))
    for name in ("width", "breadth"):
        reply = await run(author, graph_of("a.One", **{name: 5}))
        assert reply.status_code == 202
        assert [each["type"] for each in reply.json()["warnings"]] == ["unknown_property"]
    reply = await run(author, graph_of("a.One", height=5))
    assert refusal(reply) == (422, "invalid_graph")


async def test_no_worker_has_to_be_online(author: User) -> None:
    worker_id = await publish(author, node("a.One", width="int"))
    assert (await author.http.delete(f"/v1/workers/{worker_id}")).status_code == 204
    assert refusal(await run(author, graph_of("a.One", widht=5))) == (422, "invalid_graph")


async def test_the_workers_of_another_user_neither_refuse_nor_alter(
    service: Service, author: User
) -> None:
    async with owner(service) as liar:
        await publish(liar, node("a.One"))
        await publish(liar, node("a.Mine", width="str"))
        await publish(author, node("a.Mine", width="int"))
        reply = await run(author, graph_of("a.One", width=5))
        assert reply.status_code == 202
        assert [each["type"] for each in reply.json()["warnings"]] == ["unknown_node_type"]
        assert (await run(author, graph_of("a.Mine", width=5))).json()["warnings"] == []
        assert (await run(author, graph_of("a.Mine", width="x"))).status_code == 422


async def test_a_public_workflow_is_checked_by_the_catalogue_of_its_reader(
    author: User, user: User
) -> None:
    await publish(author, node("a.One", width="int"))
    body = {"name": "w", "graph": graph_of("a.One", width=5), "access": "public"}
    workflow = (await author.http.post("/v1/workflows", json=body)).json()
    assert workflow["warnings"] == []
    read = (await user.http.get(f"/v1/workflows/{workflow['id']}")).json()
    assert [each["type"] for each in read["warnings"]] == ["unknown_node_type"]


INPUTS = {
    "nodes": [
        {"id": "1", "type": "input.IntegerInput", "data": {"name": "width", "value": 64}},
        {"id": "2", "type": "input.ImageInput", "data": {"name": "photo"}},
        {"id": "3", "type": "input.TextInput", "data": {"name": "title", "value": "x"}},
        {"id": "4", "type": "input.FloatInput", "data": {"name": "scale", "value": 1}},
        {"id": "5", "type": "input.BooleanInput", "data": {"name": "flag", "value": True}},
        {"id": "6", "type": "input.AnyInput", "data": {"name": "any", "value": 1}},
    ],
    "edges": [],
}
PHOTO = {"type": "image", "asset_id": "0" * 32}


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({}, ["photo"]),
        ({"photo": PHOTO, "width": "x"}, ["width"]),
        ({"photo": PHOTO, "width": 1.5}, ["width"]),
        ({"photo": PHOTO, "width": True}, ["width"]),
        ({"photo": PHOTO, "width": None}, ["width"]),
        ({"photo": "cat.png", "title": 5}, ["photo", "title"]),
        ({"photo": {"type": "audio", "asset_id": "a"}}, ["photo"]),
        ({"photo": PHOTO, "scale": "1"}, ["scale"]),
        ({"photo": PHOTO, "flag": 1}, ["flag"]),
    ],
)
async def test_params_that_do_not_fit_are_named(
    user: User, params: dict[str, Any], named: list[str]
) -> None:
    saved = await user.http.post("/v1/workflows", json={"name": "w", "graph": INPUTS})
    path = f"/v1/workflows/{saved.json()['id']}/run"
    for reply in (
        await run(user, INPUTS, params=params),
        await user.http.post(path, json={"params": params}),
    ):
        assert refusal(reply) == (422, "validation_error")
        errors = reply.json()["errors"]
        assert sorted(each["loc"][-1] for each in errors) == sorted(named)
        assert all(each["loc"][:2] == ["body", "params"] for each in errors)
        assert all(name in reply.json()["detail"] for name in named[:1])


@pytest.mark.parametrize(
    "params",
    [
        {"photo": PHOTO},
        {"photo": {"type": "asset", "asset_id": "0" * 32}, "width": 5.0, "scale": 2},
        {"photo": PHOTO, "any": None, "flag": False, "title": ""},
    ],
)
async def test_params_that_fit_are_accepted(user: User, params: dict[str, Any]) -> None:
    assert (await run(user, INPUTS, params=params)).status_code == 202


async def test_the_description_of_an_input_is_a_property(author: User) -> None:
    for kind in (TextInput, TextOutput):
        await publish(author, describe(kind).model_dump(exclude_none=True))
        data = {"name": "a", "value": "x", "description": "Shown in the schema."}
        reply = await run(author, graph_of(kind.get_node_type(), **data))
        assert reply.status_code == 202, reply.text


async def test_an_input_with_an_edge_needs_no_param(user: User) -> None:
    nodes = [
        {"id": "1", "type": "test.Node", "data": {}},
        {"id": "2", "type": "input.TextInput", "data": {"name": "title"}},
    ]
    edge = {"source": "1", "sourceHandle": "output", "target": "2", "targetHandle": "value"}
    assert (await run(user, {"nodes": nodes, "edges": [edge]})).status_code == 202
    assert (await run(user, {"nodes": nodes, "edges": []})).status_code == 422


async def test_a_large_graph_is_checked(author: User) -> None:
    await publish(author, node("a.One", width="int", value="any"))
    nodes = [{"id": f"n{n}", "type": "a.One", "data": {"width": n}} for n in range(3000)]
    edges = [
        {
            "source": f"n{n}",
            "sourceHandle": "output",
            "target": f"n{n + 1}",
            "targetHandle": "value",
        }
        for n in range(2999)
    ]
    assert (await run(author, {"nodes": nodes, "edges": edges})).status_code == 202
    nodes[-1]["data"] = {"widht": 1}
    reply = await run(author, {"nodes": nodes, "edges": edges})
    assert [each["node_ids"] for each in reply.json()["errors"]] == [["n2999"]]
