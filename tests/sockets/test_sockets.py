"""The WebSocket: who gets in, what is sent, and when it closes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.sockets import connection
from tests.support.jobs import (
    HeldJob,
    events_of,
    graph,
    open_socket,
    owner,
    seqs,
    small_socket,
    start,
    worker_of,
)
from tests.support.services import WAIT_S, Service, User

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
                async with open_socket(service, user.token) as socket:
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


async def test_a_place_that_no_log_reaches_only_waits(service: Service) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        job = await start(user)
        await socket.send(op="subscribe", job_id=job["id"], after=2**40)
        assert [f["type"] for f in await socket.until("caught_up")] == ["subscribed", "caught_up"]
        await socket.send(op="ping")
        assert (await socket.receive())["type"] == "pong"


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


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"headers": {"Authorization": "Bearer ctx_wrong"}},
        {"headers": {"Authorization": "Bearer job_wrong"}},
        {"query": "?ticket=wrong"},
        {"subprotocols": ["context.v1", "context.bearer.wrong"]},
    ],
)
async def test_without_a_good_token_the_socket_is_accepted_then_closed(
    service: Service, options: dict[str, Any]
) -> None:
    async with open_socket(service, None, **options) as socket:
        assert await socket.closed() == 4401


async def test_a_token_in_the_url_is_not_accepted(service: Service, user: User) -> None:
    for name in ("token", "access_token", "ticket"):
        async with open_socket(service, None, query=f"?{name}={user.token}") as socket:
            assert await socket.closed() == 4401


async def test_a_browser_sends_its_token_as_a_subprotocol(service: Service, user: User) -> None:
    protocols = ["context.v1", f"context.bearer.{user.token}"]
    async with open_socket(service, None, subprotocols=protocols) as socket:
        assert socket.connection.subprotocol == "context.v1"
        await socket.send(op="ping")
        assert await socket.receive() == {"type": "pong"}


async def test_a_ticket_is_good_once(service: Service, user: User) -> None:
    ticket = (await user.http.post("/v1/ws/tickets")).json()["ticket"]
    async with open_socket(service, None, query=f"?ticket={ticket}") as socket:
        await socket.send(op="ping")
        assert (await socket.receive())["type"] == "pong"
    async with open_socket(service, None, query=f"?ticket={ticket}") as socket:
        assert await socket.closed() == 4401


@pytest.mark.parametrize(
    ("origin", "is_let_in"),
    [
        ("https://good.example", True),
        ("same", True),
        ("https://evil.example", False),
        ("null", False),
        ("https://good.example.evil.example", False),
    ],
)
async def test_a_page_of_another_origin_is_not_let_in(
    start_service: Callable[..., Service], origin: str, is_let_in: bool
) -> None:
    service = start_service(allowed_origins=("https://good.example",))
    origin = service.url if origin == "same" else origin
    async with open_socket(service, service.token, headers={"Origin": origin}) as socket:
        if is_let_in:
            await socket.send(op="ping")
            assert (await socket.receive())["type"] == "pong"
        else:
            assert await socket.closed() == 4403


async def test_a_token_of_the_wrong_scope_is_not_let_in(service: Service) -> None:
    async with await service.new_user() as user:
        token = await service.new_token(user.id, ("worker",))
    async with open_socket(service, token) as socket:
        assert await socket.closed() == 4403


async def test_the_sockets_of_a_revoked_token_are_closed(
    service: Service, user: User, admin: httpx.AsyncClient
) -> None:
    async with open_socket(service, user.token) as socket:
        await socket.send(op="ping")
        await socket.receive()
        [token] = (await user.http.get("/v1/tokens")).json()["tokens"]
        assert (await admin.delete(f"/v1/tokens/{token['id']}")).status_code == 204
        assert await socket.closed() == 4401


async def test_the_socket_of_a_lease_ends_with_the_lease(service: Service) -> None:
    async with owner(service) as user:
        await start(user)
        held = await (await worker_of(user)).take()
        async with open_socket(service, held.token) as socket:
            await socket.send(op="ping")
            assert (await socket.receive())["type"] == "pong"
            await held.complete()
            assert await socket.closed() == 4401


async def test_sockets_close_with_1012_when_the_service_stops(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    async with open_socket(service, service.token) as socket:
        await socket.send(op="ping")
        await socket.receive()
        service.stop()
        assert await socket.closed() == 1012


async def test_a_reader_that_does_not_read_is_closed_with_4408(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whoever reads beside it is not held up."""
    # It begins to read again only when all is posted, which may take its time.
    monkeypatch.setattr(connection, "CLOSE_GRACE_S", 60)
    async with (
        owner(service) as user,
        open_socket(service, user.token, max_queue=1, sock=small_socket(service)) as slow,
        open_socket(service, user.token) as quick,
    ):
        job = await start(user)
        held = await (await worker_of(user)).take()
        for socket in (slow, quick):
            await socket.send(op="subscribe", job_id=job["id"])
            await socket.until("caught_up")
        large = {**LOG, "message": "x" * 60_000}
        for _ in range(40):
            await held.post(*[large] * 10)
            for _ in range(10):
                await quick.receive()
        assert await slow.closed() == 4408


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
