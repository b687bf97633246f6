"""Helpers for tests of the node catalogue."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx

from tests.support.services import User

JSON = {"Content-Type": "application/json"}


def node(node_type: str, **properties: str) -> dict[str, Any]:
    """Return the description of a node with properties `{name: type}` and an output `output`."""
    return {
        "type": node_type,
        "title": node_type.rpartition(".")[2],
        "description": f"Does {node_type}.",
        "properties": [{"name": name, "type": kind} for name, kind in properties.items()],
        "outputs": [{"name": "output", "type": "any"}],
    }


def body_of(*nodes: dict[str, Any]) -> bytes:
    """Return the body of an upload."""
    return json.dumps({"nodes": nodes}).encode()


def sha256(body: bytes) -> str:
    """Return the hash of a body."""
    return hashlib.sha256(body).hexdigest()


async def register(http: httpx.AsyncClient, digest: str | None) -> dict[str, Any]:
    """Register a worker with the hash of its descriptions."""
    reply = await http.post("/v1/workers", json={"name": "w", "catalogue": digest})
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


async def send(http: httpx.AsyncClient, worker_id: str, body: bytes) -> httpx.Response:
    """Send the descriptions of a worker's nodes."""
    path = f"/v1/workers/{worker_id}/catalogue"
    return await http.put(path, content=body, headers=JSON)


async def publish(user: User, *nodes: dict[str, Any]) -> str:
    """Register a worker with descriptions of its nodes; return its id."""
    body = body_of(*nodes)
    made = await register(user.http, sha256(body))
    if made["wants_catalogue"]:
        reply = await send(user.http, made["id"], body)
        assert reply.status_code == 204, reply.text
    worker_id: str = made["id"]
    return worker_id


async def types_of(user: User, **query: Any) -> list[str]:
    """Return the node types of a user's catalogue."""
    reply = await user.http.get("/v1/nodes", params=query)
    assert reply.status_code == 200, reply.text
    return [each["type"] for each in reply.json()["nodes"]]


def graph_of(node_type: str, **data: Any) -> dict[str, Any]:
    """Return a graph of one node."""
    return {"nodes": [{"id": "a", "type": node_type, "data": data}], "edges": []}


async def run(user: User, graph: dict[str, Any], **fields: Any) -> httpx.Response:
    """Create a job."""
    return await user.http.post("/v1/jobs", json={"graph": graph, **fields})
