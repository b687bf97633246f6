"""Pages of lists are limited in bytes as well as in items."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.support.jobs import owner
from tests.support.services import Service, User

PAGE_BYTES = 8 * 1024 * 1024
GRAPH = {"nodes": [{"id": "n", "type": "t"}], "edges": []}


async def pages_of(http: httpx.AsyncClient, path: str, **params: Any) -> list[httpx.Response]:
    """Return the pages of a list, up to the last one."""
    pages = [await http.get(path, params=params)]
    while cursor := pages[-1].json()["next"]:
        pages.append(await http.get(path, params={**params, "cursor": cursor}))
    return pages


def ids(pages: list[httpx.Response], name: str) -> list[str]:
    """Return the ids of the items of all pages."""
    return [item["id"] for page in pages for item in page.json()[name]]


async def workflow(user: User, **fields: Any) -> str:
    """Create a workflow; return its id."""
    reply = await user.http.post("/v1/workflows", json={"name": "w", "graph": GRAPH, **fields})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


async def test_a_page_ends_before_it_exceeds_8_mib_and_the_next_one_continues(user: User) -> None:
    settings = {"a": "x" * 65_000}
    made = [await workflow(user, settings=settings) for _ in range(140)]
    pages = await pages_of(user.http, "/v1/workflows", page_size=1000)
    assert len(pages) == 2
    assert all(len(page.content) <= PAGE_BYTES for page in pages)
    assert len(pages[0].content) > PAGE_BYTES - 70_000
    assert ids(pages, "workflows") == made[::-1]


async def test_a_page_holds_an_item_that_is_larger_than_a_page(
    service: Service, user: User
) -> None:
    made = [await workflow(user) for _ in range(3)]
    large = json.dumps({"a": "x" * PAGE_BYTES})
    statement = "update workflows set settings = $2::text::json where id = $1"
    await service.run(service.db.pool.execute(statement, made[1], large))
    pages = await pages_of(user.http, "/v1/workflows")
    assert [len(page.json()["workflows"]) for page in pages] == [1, 1, 1]
    assert ids(pages, "workflows") == made[::-1]


async def test_lists_of_workflows_leave_out_graphs_and_schemas(user: User) -> None:
    await workflow(user)
    [listed] = (await user.http.get("/v1/workflows")).json()["workflows"]
    got = (await user.http.get(f"/v1/workflows/{listed['id']}")).json()
    left_out = {"graph", "input_schema", "output_schema", "warnings"}
    assert got.keys() - listed.keys() == left_out
    assert {name: got[name] for name in listed} == listed


async def test_versions_with_large_graphs_are_paged_by_bytes(user: User) -> None:
    made = await workflow(user)
    for number in range(2, 7):
        nodes = [{"id": "n", "type": "t", "data": {"a": str(number) + "x" * 3_000_000}}]
        reply = await user.http.patch(f"/v1/workflows/{made}", json={"graph": {"nodes": nodes}})
        assert reply.status_code == 200, reply.text
    pages = await pages_of(user.http, f"/v1/workflows/{made}/versions", page_size=1000)
    assert all(len(page.content) <= PAGE_BYTES for page in pages)
    versions = [[each["version"] for each in page.json()["versions"]] for page in pages]
    assert versions == [[6, 5], [4, 3], [2, 1]]


async def test_workers_with_many_node_types_are_paged_by_bytes(service: Service) -> None:
    async with owner(service) as user:
        types = [f"package.{number:05}.{'x' * 60}" for number in range(20_000)]
        made = []
        for _ in range(7):
            reply = await user.http.post("/v1/workers", json={"name": "w", "node_types": types})
            assert reply.status_code == 201, reply.text
            made.append(reply.json()["id"])
        pages = await pages_of(user.http, "/v1/workers", page_size=1000)
        assert [len(page.json()["workers"]) for page in pages] == [5, 2]
        assert all(len(page.content) <= PAGE_BYTES for page in pages)
        assert ids(pages, "workers") == made[::-1]
