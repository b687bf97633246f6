"""Tests of the client with a running service: many jobs in few requests."""

from __future__ import annotations

from typing import Any

import pytest

import processing_context as pc
from processing_context import AssetRef, Graph, ProcessingContext, RunJobRequest
from tests.support.client_jobs import GRAPH
from tests.support.network import Network
from tests.support.services import User

EDGE = {"source": "in", "sourceHandle": "output", "target": "in", "targetHandle": "value"}
CIRCLE: dict[str, Any] = {**GRAPH, "edges": [EDGE]}


async def count(user: User) -> int:
    page = await user.http.get("/v1/jobs", params={"page_size": 1000})
    return len(page.json()["jobs"])


async def test_many_jobs_are_queued_in_their_order(ctx: ProcessingContext, user: User) -> None:
    made = await ctx.start_jobs([{"graph": GRAPH, "params": {"x": n}} for n in range(230)])
    assert [job.params for job in made] == [{"x": n} for n in range(230)]
    assert {job.status for job in made} == {"queued"}
    assert await count(user) == 230
    assert (await ctx.get_job(made[229].id)).params == {"x": 229}
    assert await ctx.start_jobs([]) == []


async def test_each_may_be_a_graph_or_a_request_and_bytes_are_stored(
    ctx: ProcessingContext,
) -> None:
    graph = Graph.model_validate(GRAPH)
    picture = AssetRef(type="image", data=b"\x89PNG\r\n\x1a\n and so on")
    request = RunJobRequest(graph=graph, params={"x": picture}, priority=3)
    plain, with_bytes = await ctx.start_jobs([graph, request])
    assert plain.params == {}
    assert with_bytes.priority == 3
    assert with_bytes.params is not None
    stored = with_bytes.params["x"]["uri"]
    assert stored.startswith("/v1/storage/temp/")
    assert await ctx.asset_to_bytes(AssetRef(type="image", uri=stored)) == picture.data
    assert picture.uri == ""


async def test_what_cannot_be_run_is_named_and_nothing_is_queued(
    ctx: ProcessingContext, user: User
) -> None:
    twice = {"nodes": [*GRAPH["nodes"], *GRAPH["nodes"]], "edges": []}
    with pytest.raises(pc.ValidationError, match=r"jobs\.1: 2 nodes have the id 'in'"):
        await ctx.start_jobs([GRAPH, twice])
    with pytest.raises(ValueError, match="RunJobRequest"):
        await ctx.start_jobs([GRAPH, 3])  # type: ignore[list-item]
    assert await count(user) == 0


async def test_a_lost_reply_makes_no_second_batch(
    ctx: ProcessingContext, network: Network, user: User
) -> None:
    network.swallow = b"POST /v1/jobs/batch "
    made = await ctx.start_jobs([GRAPH] * 3)
    assert network.swallow is None
    assert len({job.id for job in made}) == 3
    assert await count(user) == 3


async def test_large_jobs_travel_in_several_requests_and_an_error_tells_of_the_first(
    ctx: ProcessingContext, user: User
) -> None:
    large = {"graph": GRAPH, "params": {"x": "x" * 1_500_000}}
    made = await ctx.start_jobs([large] * 7)  # together more than the limit of a request
    assert len(made) == await count(user) == 7
    with pytest.raises(pc.ValidationError) as caught:
        await ctx.start_jobs([large, large, large, {"graph": GRAPH, "priority": -100}, CIRCLE])
    assert len(caught.value.started) == await count(user) - 7 == 2
