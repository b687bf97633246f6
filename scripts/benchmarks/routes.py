"""Benchmarks of metadata routes against bare FastAPI routes with one asyncpg query each."""

from __future__ import annotations

from typing import Any

import httpx
import orjson

from scripts.benchmarks.load import cpu_per_request
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn
from tests.support.processes import environment, started
from tests.support.services import free_port

NODES = 10
WORKFLOW = {
    "name": "ten nodes",
    "graph": {
        "nodes": [
            {"id": str(number), "type": "math.Add", "data": {"a": number, "b": 1.5}}
            for number in range(NODES)
        ],
        "edges": [
            {
                "source": str(number),
                "sourceHandle": "output",
                "target": str(number + 1),
                "targetHandle": "a",
            }
            for number in range(NODES - 1)
        ],
    },
}


async def rows(stack: Stack, rounds: int) -> list[Row]:
    """Measure each route."""
    port = free_port()
    bare_url = f"http://127.0.0.1:{port}"
    body = orjson.dumps(WORKFLOW)
    async with stack.context() as ctx:
        asset = await ctx.create_asset("one", "text/plain", b"x")
    async with httpx.AsyncClient(base_url=stack.url, headers=stack.headers) as api:
        user_id = (await api.get("/v1/me")).json()["user"]["id"]
        workflow_id = (await api.post("/v1/workflows", json=WORKFLOW)).json()["id"]
    bare = started(
        *("-m", "scripts.benchmarks.bare", str(port)),
        env=environment(stack.settings),
        ready_url=f"{bare_url}/healthz",
    )
    with bare as process:

        async def compare(name: str, path: str, bare_path: str, **options: Any) -> Row:
            async def route() -> float:
                url = f"{stack.url}/v1{path}"
                return 1 / await cpu_per_request(url, stack.pid, stack.token, **options)

            async def bare_route() -> float:
                return 1 / await cpu_per_request(f"{bare_url}{bare_path}", process.pid, **options)

            figures = await in_turn(route, bare_route, rounds=rounds)
            return Row(
                f"{name} / bare FastAPI route with one asyncpg query, per CPU second",
                f"{figures[0]:.0f}/s",
                f"{figures[1]:.0f}/s",
                f"{figures[2]:.2f}",
            )

        return [
            await compare("GET one asset", f"/assets/{asset.id}", f"/assets/{asset.id}"),
            await compare("GET /v1/me", "/me", f"/users/{user_id}"),
            await compare(
                f"GET a workflow of {NODES} nodes",
                f"/workflows/{workflow_id}",
                f"/workflows/{workflow_id}",
            ),
            await compare(
                f"POST a workflow of {NODES} nodes", "/workflows", "/workflows", body=body
            ),
        ]
