"""Snapshots and gaps come in frames of at most 1 MiB."""

from __future__ import annotations

import json
from typing import Any

from tests.support.jobs import HeldJob, open_socket, owner, start, worker_of
from tests.support.services import Service

FRAME_BYTES = 1024 * 1024
NODES = 12_000


def node(number: int) -> dict[str, Any]:
    """Return an event of a node with a long name, a result and properties."""
    return {
        "type": "node_update",
        "node_id": f"n{number:05}",
        "node_name": "x" * 100,
        "status": "completed",
        "result": {"a": "result"},
        "properties": {"a": "property"},
        "logs": "logs",
    }


async def with_nodes(held: HeldJob, count: int) -> None:
    """Post the states of nodes."""
    for first in range(0, count, 1000):
        await held.post(*(node(number) for number in range(first, min(first + 1000, count))))


async def test_a_snapshot_is_split_into_frames_that_hold_every_job_and_node(
    service: Service,
) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        jobs = [await start(user, metadata={"a": "x" * 60_000}) for _ in range(30)]
        held = await (await worker_of(user)).take()
        await with_nodes(held, NODES)
        await socket.send(op="subscribe", jobs="all", id=1)
        assert (await socket.receive())["type"] == "subscribed"
        frames = [await socket.receive()]
        while frames[-1]["more"]:
            frames.append(await socket.receive())
        assert len(frames) > 3
        nodes: list[str] = []
        found: dict[str, int] = {}
        for frame in frames:
            assert len(json.dumps(frame, separators=(",", ":"))) <= FRAME_BYTES
            for item in frame["jobs"]:
                found[item["job"]["id"]] = item["last_seq"]
                nodes += [each["node_id"] for each in item["nodes"]]
                for each in item["nodes"]:
                    assert not {"result", "properties", "logs"} & set(each)
        assert list(found) == [job["id"] for job in jobs]
        assert nodes == [f"n{number:05}" for number in range(NODES)]
        await held.complete()
        assert [frame["seq"] for frame in await socket.until_end()] == [NODES + 3]


async def test_a_snapshot_without_jobs_is_one_frame(service: Service) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        await socket.send(op="subscribe", jobs="all")
        await socket.receive()
        assert await socket.receive() == {"type": "snapshot", "jobs": [], "more": False}
