"""Integers beyond 64 bits in every JSON that the service stores: exact, or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.jobs import events_of, get, held_job, open_socket, owner
from tests.support.services import Service

LARGE = 25_227_143_063_332_189_585_438
EXACT = (-(2**63), 2**64 - 1)


def graph(number: int) -> dict[str, Any]:
    """Return a graph with a number among its properties."""
    return {"nodes": [{"id": "n", "type": "t", "data": {"seed": number}}], "edges": []}


def requests(number: int) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return requests that store a number."""
    workflow = {"name": "w", "graph": graph(1)}
    upload = {"name": "a", "content_type": "a/b", "size": 1}
    return {
        "params": ("/v1/jobs", {"graph": graph(1), "params": {"a": [number]}}),
        "graph": ("/v1/jobs", {"graph": graph(number)}),
        "metadata": ("/v1/jobs", {"graph": graph(1), "metadata": {"a": number}}),
        "batch": ("/v1/jobs/batch", {"jobs": [{"graph": graph(number)}]}),
        "workflow": ("/v1/workflows", {"name": "w", "graph": graph(number)}),
        "settings": ("/v1/workflows", {**workflow, "settings": {"a": number}}),
        "worker": ("/v1/workers", {"name": "w", "metadata": {"a": number}}),
        "asset": ("/v1/assets/uploads", {**upload, "metadata": {"a": number}}),
    }


@pytest.mark.parametrize("name", requests(0))
async def test_a_larger_integer_is_refused_and_others_are_exact(
    service: Service, name: str
) -> None:
    async with owner(service) as user:
        path, body = requests(LARGE)[name]
        reply = await user.http.post(path, json=body)
        assert reply.status_code == 422
        assert str(LARGE) not in reply.text
        [error] = reply.json()["errors"]
        assert (error["loc"][0], error["type"]) == ("body", "int_too_large")
        for number in EXACT:
            path, body = requests(number)[name]
            reply = await user.http.post(path, json=body)
            assert reply.is_success, reply.text
            if name != "worker":
                assert str(number) in reply.text


async def test_the_part_json_of_a_form_is_checked_too(service: Service) -> None:
    async with owner(service) as user:
        for number, status in ((LARGE, 422), (EXACT[1], 201)):
            fields = {"name": "f", "content_type": "folder", "metadata": {"a": number}}
            files = {"json": (None, json.dumps(fields))}
            reply = await user.http.post("/v1/assets", files=files)
            assert reply.status_code == status, reply.text


async def test_events_and_results_are_checked_too(service: Service) -> None:
    async with owner(service) as user:
        held = await held_job(user)
        output = {"type": "output_update", "node_id": "n", "node_name": "n", "output_name": "o"}
        reply = await held.send({**output, "value": LARGE})
        assert reply.status_code == 422
        held.client_seq = 0
        await held.post({**output, "value": EXACT[0]})
        reply = await held.send(
            {"type": "job_update", "status": "completed", "result": {"a": LARGE}}
        )
        assert reply.status_code == 422
        held.client_seq = 1
        await held.complete(a=EXACT[1])
        assert (await get(user, held.id))["result"] == {"a": EXACT[1]}
        events = await events_of(user, held.id)
        assert [event["value"] for event in events if "value" in event] == [EXACT[0]]


async def test_a_socket_refuses_a_larger_integer_and_stays_open(service: Service) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        await socket.send(op="run", id="r", request={"graph": graph(LARGE)})
        frame = await socket.receive()
        assert (frame["type"], frame["id"], frame["problem"]["status"]) == ("problem", "r", 422)
        await socket.send(op="run", id="s", request={"graph": graph(EXACT[1])})
        frame = await socket.receive()
        assert frame["job"]["graph"]["nodes"][0]["data"] == {"seed": EXACT[1]}


async def test_a_socket_stays_open_after_a_message_that_is_nested_too_deeply(
    service: Service,
) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        deep = "[" * 260 + "]" * 260
        await socket.connection.send(f'{{"op": "run", "id": 7, "request": {deep}}}')
        frame = await socket.receive()
        assert (frame["type"], frame["id"], frame["problem"]["code"]) == ("problem", 7, "too_deep")
        await socket.send(op="ping", id=1)
        assert await socket.receive() == {"type": "pong", "id": 1}
