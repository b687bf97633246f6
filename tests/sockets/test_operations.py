"""Tests of operations on a WebSocket: run, cancel, problems, and malformed messages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.jobs import (
    graph,
    open_socket,
    owner,
    seqs,
    start,
)
from tests.support.services import Service, User


async def test_a_job_can_be_run_and_cancelled_over_the_socket(service: Service) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        op = {"op": "run", "request": {"graph": graph()}, "idempotency_key": "k", "id": "r"}
        await socket.send(**op)
        reply = await socket.receive()
        assert (reply["type"], reply["id"], reply["job"]["status"]) == ("reply", "r", "queued")
        assert seqs(await socket.until("caught_up")) == [1]
        await socket.send(**op)
        frames = await socket.until("caught_up")
        assert frames[0]["job"]["id"] == reply["job"]["id"]
        await socket.send(op="cancel", job_id=reply["job"]["id"], id="c")
        frames = [await socket.receive(), await socket.receive()]
        by_type = {frame["type"]: frame for frame in frames}
        assert by_type["reply"]["job"]["status"] == "cancelled"
        assert by_type["job_update"]["status"] == "cancelled"


async def test_an_op_that_fails_is_a_problem_and_the_others_go_on(
    service: Service, other: User
) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        theirs = await start(other)
        deep: list[Any] = []
        for _ in range(300):
            deep = [deep]
        for op, status in (
            ({"op": "subscribe", "job_id": theirs["id"]}, 404),
            ({"op": "subscribe", "job_id": "0" * 32}, 404),
            ({"op": "subscribe", "job_id": "x" * 200}, 404),
            ({"op": "subscribe", "thread_id": "0" * 32}, 404),
            ({"op": "cancel", "job_id": theirs["id"]}, 404),
            ({"op": "run", "request": {"graph": {"nodes": 1}}}, 422),
            ({"op": "run", "request": {}}, 422),
            ({"op": "run", "request": {"graph": graph(), "params": {"a": deep}}}, 422),
            ({"op": "run", "request": {"graph": graph()}, "idempotency_key": "\x00"}, 400),
        ):
            await socket.send(**op, id=1)
            frame = await socket.receive()
            assert (frame["type"], frame["id"], frame["problem"]["status"]) == (
                "problem",
                1,
                status,
            )
        job = await start(user)
        await socket.send(op="subscribe", job_id=job["id"])
        assert seqs(await socket.until("caught_up")) == [1]


@pytest.mark.parametrize(
    "message",
    [
        "no json",
        "[]",
        '{"op": "unknown"}',
        '{"op": "subscribe"}',
        '{"op": "run"}',
        '{"op": "subscribe", "job_id": "a", "jobs": "all"}',
        '{"op": "ping", "unknown": 1}',
    ],
)
async def test_a_malformed_op_closes_the_socket(service: Service, message: str) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        await socket.connection.send(message)
        assert await socket.closed() == 4400


@pytest.mark.parametrize("depth", [1, 260, 900])
async def test_an_op_whose_id_is_no_text_or_number_is_malformed(
    service: Service, user: User, depth: int
) -> None:
    async with open_socket(service, user.token) as socket:
        nested = "[" * depth + "]" * depth
        await socket.connection.send(f'{{"op": "ping", "id": {nested}}}')
        assert await socket.closed() == 4400
