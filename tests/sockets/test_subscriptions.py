"""Subscriptions of a WebSocket: replay, snapshot, live events, and slow readers."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.jobs import (
    HeldJob,
    events_of,
    open_socket,
    owner,
    seqs,
    small_socket,
    start,
    worker_of,
)
from tests.support.services import WAIT_S, Service

LOG = {"type": "log", "level": "info", "message": "m"}


async def test_a_job_is_replayed_then_caught_up_then_live_to_its_end(service: Service) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        job = await start(user)
        held = await (await worker_of(user)).take()
        await held.post(LOG)
        await socket.send(op="subscribe", job_id=job["id"], after=0, id="s")
        assert await socket.receive() == {
            "type": "subscribed",
            "id": "s",
            "job_id": job["id"],
            "last_seq": 3,
        }
        replay = await socket.until("caught_up")
        assert seqs(replay) == [1, 2, 3]
        assert replay[-1] == {"type": "caught_up", "job_id": job["id"], "seq": 3}
        await held.post(LOG, LOG)
        await held.complete()
        live = await socket.until_end()
        assert seqs(live) == [4, 5, 6]
        assert replay[:-1] + live == await events_of(user, job["id"])


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_finished_job_is_replayed_from_any_place_and_no_more(
    service: Service, after: int
) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        job = await start(user)
        await (await (await worker_of(user)).take()).complete()
        await socket.send(op="subscribe", job_id=job["id"], after=after)
        frames = await socket.until("caught_up")
        assert seqs(frames) == list(range(after + 1, 4))
        await socket.send(op="ping", id=1)
        assert await socket.receive() == {"type": "pong", "id": 1}


async def test_a_reader_that_reconnects_all_the_time_misses_nothing_and_sees_nothing_twice(
    service: Service,
) -> None:
    """While two jobs are written to at once, and read by readers that come and go."""
    async with owner(service) as user:
        worker = await worker_of(user)
        for _ in range(2):
            await start(user)
        held = await worker.claim(max_jobs=2)

        async def write(lease: HeldJob) -> None:
            for number in range(25):
                await lease.post(*({**LOG, "message": f"{number}.{i}"} for i in range(4)))
            await lease.complete()

        async def read(job_id: str, patience: int) -> list[int]:
            seen: list[int] = []
            while True:
                # Without a limit: a client that has stopped reading closes only by a timeout.
                async with open_socket(service, user.token, max_queue=None) as socket:
                    last = seen[-1] if seen else 0
                    await socket.send(op="subscribe", job_id=job_id, after=last)
                    for _ in range(patience):
                        frame = await socket.receive()
                        if "attempt" in frame:
                            seen.append(frame["seq"])
                        if frame.get("status") == "completed":
                            return seen

        async with asyncio.timeout(WAIT_S):
            writers = asyncio.gather(*map(write, held))
            readers = [read(lease.id, patience) for lease in held for patience in (7, 50, 10**6)]
            results = await asyncio.gather(*readers)
            await writers
        assert all(seen == list(range(1, 104)) for seen in results)


async def test_all_jobs_begin_with_a_snapshot_and_go_on_with_every_event(service: Service) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        worker = await worker_of(user)
        done = await start(user)
        await (await worker.take()).complete()
        running = await start(user)
        held = await worker.take()
        await held.post({"type": "node_progress", "node_id": "n0", "progress": 1, "total": 2})
        await socket.send(op="subscribe", jobs="all", id=7)
        assert await socket.receive() == {"type": "subscribed", "id": 7, "jobs": "all"}
        snapshot = await socket.receive()
        [item] = snapshot["jobs"]
        assert (item["job"]["id"], item["last_seq"]) == (running["id"], 3)
        assert not {"graph", "params", "result"} & set(item["job"])
        assert item["nodes"][0]["progress"] == 1
        new = await start(user)
        await held.complete()
        held = await worker.take()
        await held.complete()
        seen: dict[str, list[int]] = {}
        while sum(map(len, seen.values())) < 4:
            frame = await socket.receive()
            seen.setdefault(frame["job_id"], []).append(frame["seq"])
        assert seen == {running["id"]: [4], new["id"]: [1, 2, 3]}
        assert done["id"] not in seen


async def test_no_event_of_all_jobs_is_lost_while_the_snapshot_is_taken(service: Service) -> None:
    async with owner(service) as user:
        worker = await worker_of(user)
        for _ in range(3):
            await start(user)
        held = await worker.claim(max_jobs=3)
        is_over = asyncio.Event()

        async def write(lease: HeldJob) -> None:
            while not is_over.is_set():
                await lease.post(LOG, LOG)
            await lease.complete()

        async def read() -> None:
            async with open_socket(service, user.token) as socket:
                await socket.send(op="subscribe", jobs="all")
                snapshot = (await socket.until("snapshot"))[-1]
                last = {item["job"]["id"]: item["last_seq"] for item in snapshot["jobs"]}
                for _ in range(60):
                    frame = await socket.receive()
                    assert frame["seq"] == last[frame["job_id"]] + 1
                    last[frame["job_id"]] = frame["seq"]

        writers = asyncio.gather(*map(write, held))
        try:
            await asyncio.gather(*(read() for _ in range(8)))
        finally:
            is_over.set()
            await writers


async def test_a_job_that_is_also_followed_alone_comes_once(service: Service) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        job = await start(user)
        held = await (await worker_of(user)).take()
        await socket.send(op="subscribe", jobs="all")
        await socket.until("snapshot")
        await socket.send(op="subscribe", job_id=job["id"], after=0)
        assert seqs(await socket.until("caught_up")) == [1, 2]
        await held.post(LOG)
        assert (await socket.receive())["seq"] == 3
        await socket.send(op="unsubscribe", job_id=job["id"], id=1)
        await socket.until("reply")
        await held.post(LOG)
        await held.complete()
        assert seqs(await socket.until_end()) == [4, 5]


async def test_a_place_that_no_log_reaches_only_waits(service: Service) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        job = await start(user)
        await socket.send(op="subscribe", job_id=job["id"], after=2**40)
        assert [f["type"] for f in await socket.until("caught_up")] == ["subscribed", "caught_up"]
        await socket.send(op="ping")
        assert (await socket.receive())["type"] == "pong"


async def test_progress_is_merged_for_a_slow_reader_and_no_chunk_is_lost(
    service: Service,
) -> None:
    async with (
        owner(service) as user,
        open_socket(service, user.token, max_queue=1, sock=small_socket(service)) as socket,
    ):
        job = await start(user)
        held = await (await worker_of(user)).take()
        await socket.send(op="subscribe", job_id=job["id"])
        await socket.until("caught_up")
        count = 3000
        for first in range(0, count, 100):
            await held.post(
                *(
                    {
                        "type": "node_progress",
                        "node_id": "n0",
                        "progress": n,
                        "total": count,
                        "chunk": f"{n:05}" + "." * 2500,
                    }
                    for n in range(first, first + 100)
                )
            )
        await held.complete()
        frames = await socket.until_end()
        progress = [frame for frame in frames if frame["type"] == "node_progress"]
        text = "".join(frame["chunk"] for frame in progress).replace(".", "")
        assert text == "".join(f"{n:05}" for n in range(count))
        assert len(progress) < count
        last = 2
        for frame in frames:
            assert frame.get("from_seq", frame["seq"]) == last + 1
            last = frame["seq"]
        assert last == count + 3


async def test_a_deleted_job_ends_its_subscription(service: Service) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        job = await start(user)
        await user.http.post(f"/v1/jobs/{job['id']}/cancel")
        assert (await user.http.delete(f"/v1/jobs/{job['id']}")).status_code == 204
        await socket.send(op="subscribe", job_id=job["id"], id=1)
        frame = await socket.receive()
        assert (frame["type"], frame["problem"]["status"]) == ("problem", 404)
