"""Tests of jobs whose graphs hold nodes that exist for the editor alone, and null fields."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.jobs import get, owner, worker_of
from tests.support.services import Service, User

DRAWN: dict[str, Any] = {
    "nodes": [
        {
            "id": "in",
            "type": "input.TextInput",
            "data": {"name": "x", "value": "v"},
            "parent_id": "group",
        },
        {"id": "note", "type": "nodetool.workflows.base_node.Comment", "data": None},
        {"id": "group", "type": "nodetool.workflows.base_node.Group", "ui_properties": None},
        {"id": "shown", "type": "nodetool.workflows.base_node.Preview", "parent_id": None},
        {"id": "bend", "type": "nodetool.control.Reroute", "dynamic_properties": None},
    ],
    "edges": [
        {
            "id": None,
            "source": "in",
            "sourceHandle": "output",
            "target": "bend",
            "targetHandle": "input_value",
            "ui_properties": None,
        },
        {
            "source": "bend",
            "sourceHandle": "output",
            "target": "shown",
            "targetHandle": "value",
        },
    ],
}


async def _request(user: User, saved: bool) -> dict[str, Any]:
    if not saved:
        return {"graph": DRAWN}
    reply = await user.http.post("/v1/workflows", json={"name": "drawn", "graph": DRAWN})
    assert reply.status_code == 201, reply.text
    return {"workflow_id": reply.json()["id"]}


@pytest.mark.parametrize("saved", [False, True], ids=["graph", "workflow"])
async def test_a_worker_needs_no_editor_node_to_claim_a_job(service: Service, saved: bool) -> None:
    async with owner(service) as user:
        worker = await worker_of(user, node_types=["input.TextInput"])
        reply = await user.http.post("/v1/jobs", json=await _request(user, saved))
        assert reply.status_code == 202, reply.text
        assert (await get(user, reply.json()["id"]))["waiting_reason"] is None
        held = await worker.take()
        assert held.id == reply.json()["id"]
        assert [node["id"] for node in held.job["graph"]["nodes"]] == [
            node["id"] for node in DRAWN["nodes"]
        ]


async def test_a_skipped_node_is_a_state_of_its_own(service: Service) -> None:
    async with owner(service) as user:
        worker = await worker_of(user)
        job = (await user.http.post("/v1/jobs", json={"graph": DRAWN})).json()
        held = await worker.take()
        update = {"type": "node_update", "node_id": "in", "node_name": "in", "status": "skipped"}
        await held.post(update)
        await held.complete()
        nodes = (await user.http.get(f"/v1/jobs/{job['id']}/nodes")).json()["nodes"]
        assert [(node["node_id"], node["status"]) for node in nodes] == [("in", "skipped")]
        assert (await get(user, job["id"]))["result"] == {}
