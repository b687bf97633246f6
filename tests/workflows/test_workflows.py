"""Tests of the workflow routes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.services import User

GRAPH: dict[str, Any] = {
    "nodes": [
        {"id": "1", "type": "input.TextInput", "data": {"name": "who"}, "zoom": 1.5},
        {"id": "2", "type": "output.TextOutput", "data": {"name": "greeting"}},
    ],
    "edges": [
        {
            "source": "1",
            "sourceHandle": "output",
            "target": "2",
            "targetHandle": "value",
            "color": "red",
        }
    ],
    "viewport": {"x": 1},
}


async def make(user: User, **changes: Any) -> dict[str, Any]:
    """Create a workflow."""
    body = {"name": "greet", "graph": GRAPH, **changes}
    reply = await user.http.post("/v1/workflows", json=body)
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


async def test_unknown_fields_of_a_graph_are_returned_as_they_were_sent(user: User) -> None:
    made = await make(user, settings={"theme": {"dark": True}}, tags=["a"])
    got = (await user.http.get(f"/v1/workflows/{made['id']}")).json()
    assert got == made
    assert got["graph"]["viewport"] == {"x": 1}
    assert got["graph"]["nodes"][0]["zoom"] == 1.5
    assert got["graph"]["edges"][0]["color"] == "red"
    assert got["settings"] == {"theme": {"dark": True}}
    assert got["input_schema"]["required"] == ["who"]
    assert got["version"] == 1
    assert got["access"] == "private"
    assert got["created_at"].endswith("Z")


async def test_a_graph_with_a_cycle_is_refused_with_every_problem(user: User) -> None:
    back = {"source": "2", "sourceHandle": "o", "target": "1", "targetHandle": "value"}
    lost = {"source": "9", "sourceHandle": "o", "target": "1", "targetHandle": "x"}
    graph = {**GRAPH, "edges": [*GRAPH["edges"], back, lost]}
    reply = await user.http.post("/v1/workflows", json={"name": "x", "graph": graph})
    assert reply.status_code == 422
    body = reply.json()
    assert body["code"] == "invalid_graph"
    assert {error["type"] for error in body["errors"]} == {"cycle", "dangling_edge"}


async def test_a_change_makes_a_version_and_the_old_one_stays(user: User) -> None:
    made = await make(user)
    path = f"/v1/workflows/{made['id']}"
    changed = (await user.http.patch(path, json={"name": "hello"})).json()
    assert (changed["name"], changed["version"]) == ("hello", 2)
    same = (await user.http.patch(path, json={"name": "hello"})).json()
    assert same["version"] == 2
    versions = (await user.http.get(f"{path}/versions")).json()["versions"]
    assert [(v["version"], v["name"]) for v in versions] == [(2, "hello"), (1, "greet")]
    assert (await user.http.get(f"{path}/versions/1")).json()["name"] == "greet"
    page = (await user.http.get(f"{path}/versions?page_size=1")).json()
    page = (await user.http.get(f"{path}/versions?page_size=1&cursor={page['next']}")).json()
    assert [v["version"] for v in page["versions"]] == [1]
    for absent in ("3", "0", "99999999999999999999"):
        reply = await user.http.get(f"{path}/versions/{absent}")
        assert reply.status_code == 404
        assert reply.json()["detail"] == f"Version {absent} of workflow {made['id']} was not found."


async def test_if_match_guards_a_change(user: User) -> None:
    made = await make(user)
    path = f"/v1/workflows/{made['id']}"
    tag = (await user.http.get(path)).headers["etag"]
    first = await user.http.patch(path, json={"name": "b"}, headers={"If-Match": tag})
    assert first.status_code == 200
    assert first.headers["etag"] != tag
    late = await user.http.patch(path, json={"name": "c"}, headers={"If-Match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert (await user.http.get(path)).json()["name"] == "b"
    assert (await user.http.delete(path, headers={"If-Match": tag})).status_code == 412


async def test_put_replaces_all_fields(user: User) -> None:
    made = await make(user, description="long", tags=["a"])
    path = f"/v1/workflows/{made['id']}"
    put = (await user.http.put(path, json={"name": "new", "graph": GRAPH})).json()
    assert (put["name"], put["description"], put["tags"]) == ("new", "", [])


async def test_null_in_a_field_that_cannot_be_null_is_refused(user: User) -> None:
    made = await make(user)
    reply = await user.http.patch(f"/v1/workflows/{made['id']}", json={"name": None})
    assert reply.status_code == 422
    assert "cannot be null" in reply.json()["detail"]


async def test_a_public_workflow_is_readable_by_all_and_writable_by_its_owner(
    user: User, other: User
) -> None:
    made = await make(user, access="public")
    path = f"/v1/workflows/{made['id']}"
    assert (await other.http.get(path)).status_code == 200
    assert (await other.http.patch(path, json={"name": "mine"})).status_code == 404
    assert (await other.http.delete(path)).status_code == 404
    public = (await other.http.get("/v1/workflows?access=public")).json()["workflows"]
    assert made["id"] in [w["id"] for w in public]
    assert (await other.http.get("/v1/workflows")).json()["workflows"] == []


async def test_someone_elses_workflow_is_not_found(user: User, other: User) -> None:
    made = await make(user)
    for method in ("GET", "DELETE"):
        for workflow_id in (made["id"], "0000"):
            reply = await other.http.request(method, f"/v1/workflows/{workflow_id}")
            assert reply.status_code == 404
            assert reply.json()["code"] == "workflow_not_found"
            assert reply.json()["detail"] == f"Workflow {workflow_id} was not found."


async def test_search_takes_wildcards_literally(user: User) -> None:
    made = await make(user, name="50% off_now")
    await make(user, name="500 offxnow")
    for q in ("50%", "off_", "OFF_NOW"):
        found = (await user.http.get("/v1/workflows", params={"q": q})).json()["workflows"]
        assert [w["id"] for w in found] == [made["id"]]
    tagged = await make(user, tags=["x", "y"])
    found = (await user.http.get("/v1/workflows?tag=y")).json()["workflows"]
    assert [w["id"] for w in found] == [tagged["id"]]


async def test_pages_do_not_shift_under_inserts(user: User) -> None:
    made = [(await make(user, name=str(n)))["id"] for n in range(5)]
    first = (await user.http.get("/v1/workflows?page_size=2")).json()
    await make(user, name="later")
    second = (await user.http.get(f"/v1/workflows?page_size=2&cursor={first['next']}")).json()
    third = (await user.http.get(f"/v1/workflows?page_size=2&cursor={second['next']}")).json()
    seen = [w["id"] for page in (first, second, third) for w in page["workflows"]]
    assert seen == made[::-1]
    assert third["next"] is None


@pytest.mark.parametrize("name", ["", "a\x00b", "x" * 10_000])
async def test_invalid_names_are_refused(user: User, name: str) -> None:
    reply = await user.http.post("/v1/workflows", json={"name": name, "graph": GRAPH})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["loc"] == ["body", "name"]


async def test_a_nul_inside_a_graph_is_preserved(user: User) -> None:
    graph = {"nodes": [{"id": "1", "type": "t", "data": {"text": "a\x00b"}}]}
    made = await make(user, graph=graph)
    got = (await user.http.get(f"/v1/workflows/{made['id']}")).json()
    assert got["graph"]["nodes"][0]["data"]["text"] == "a\x00b"
