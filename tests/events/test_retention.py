"""Tests of the retention of events, and of the gaps that readers receive."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from app.database.engine import connect_args
from app.events import partitions
from app.events.partition_queries import partition_name
from app.users.bootstrap import open_database
from processing_context import Gap, JobUpdate, ProcessingContext
from tests.support.ageing import age, aged, days_with_partition
from tests.support.jobs import (
    HandWorker,
    HeldJob,
    events_of,
    get,
    open_socket,
    owner,
    seqs,
    start,
    worker_of,
)
from tests.support.services import Service, User
from tests.support.sweeps import execute, report_of, sweep

OLD = 31
"""More days than events are kept."""
LOG = {"type": "log", "level": "info", "message": "m"}
NODE = {"type": "node_update", "node_id": "n0", "node_name": "N", "status": "completed"}


async def held_by(user: User, worker: HandWorker) -> HeldJob:
    await start(user)
    return await worker.take()


async def half_gone(service: Service, user: User) -> dict[str, Any]:
    """Return an ended job with the events 1 to 4 removed and 5 to 7 left."""
    held = await held_by(user, await worker_of(user))
    await held.post(LOG, {**NODE, "result": {"output": 1}})
    held = await aged(service.settings, held, OLD)
    await held.post(LOG, LOG)
    await held.complete(answer=42)
    assert await sweep(service.settings) == {"days of events": 1}
    return await get(user, held.id)


async def all_gone(service: Service, user: User) -> dict[str, Any]:
    """Return an ended job without any of its four events."""
    held = await held_by(user, await worker_of(user))
    await held.post(LOG)
    await held.complete(answer=42)
    job_id = await age(service.settings, held.id, OLD)
    assert await sweep(service.settings) == {"days of events": 1}
    return await get(user, job_id)


async def gap(user: User, job: dict[str, Any], first: int, last: int) -> dict[str, Any]:
    """Return the gap frame that a reader of a job must receive."""
    nodes = (await user.http.get(f"/v1/jobs/{job['id']}/nodes")).json()["nodes"]
    return {
        "type": "gap",
        "job_id": job["id"],
        "from": first,
        "to": last,
        "snapshot": {"job": job, "nodes": [without_result(node) for node in nodes]},
    }


def without_result(node: dict[str, Any]) -> dict[str, Any]:
    """Return a node as it is in a snapshot."""
    return {name: value for name, value in node.items() if name != "result"}


async def streamed(user: User, job_id: str, accept: str, **headers: str) -> str:
    reply = await user.http.get(
        f"/v1/jobs/{job_id}/events", headers={"Accept": accept, **headers}, timeout=60
    )
    assert reply.status_code == httpx.codes.OK
    return reply.text


async def test_a_day_goes_when_all_of_it_is_too_old(service: Service) -> None:
    settings = service.settings
    async with owner(service) as user:
        worker = await worker_of(user)
        ids = []
        for days in (OLD + 1, OLD, OLD - 2):
            held = await held_by(user, worker)
            await held.complete()
            ids.append(await age(settings, held.id, days))
        before = await days_with_partition(settings)
        assert await sweep(settings, dry=True) == {"days of events": 2}
        assert await days_with_partition(settings) == before
        assert await sweep(settings) == {"days of events": 2}
        assert len(before - await days_with_partition(settings)) == 2
        assert await sweep(settings) == {}
        assert [len(seqs(await events_of(user, job_id))) for job_id in ids] == [0, 0, 3]


async def test_events_of_a_job_that_has_not_ended_stay(service: Service) -> None:
    """Regardless of age, and of an ended job of the same day; they are deleted after its end."""
    settings = service.settings
    async with owner(service) as user:
        worker = await worker_of(user)
        held = await held_by(user, worker)
        await held.post(LOG, LOG)
        over = await held_by(user, worker)
        await over.complete()
        queued = await start(user, required_capabilities=["nobody has it"])
        held = await aged(settings, held, OLD)
        over_id = await age(settings, over.id, OLD)
        queued_id = await age(settings, queued["id"], OLD)
        assert await sweep(settings) == {"days of events": 1}
        assert seqs(await events_of(user, over_id)) == []
        assert seqs(await events_of(user, queued_id)) == [1]
        await held.post(LOG)
        assert seqs(await events_of(user, held.id)) == [1, 2, 3, 4, 5]
        assert await sweep(settings) == {}
        await held.complete()
        assert seqs(await events_of(user, held.id)) == [1, 2, 3, 4, 5, 6]
        found = {"events in the default partition": 4}
        assert await sweep(settings, dry=True) == found
        assert await sweep(settings) == found
        assert seqs(await events_of(user, held.id)) == [5, 6]
        assert seqs(await events_of(user, queued_id)) == [1]
        await user.http.post(f"/v1/jobs/{queued_id}/cancel")
        assert await sweep(settings) == {"events in the default partition": 1}
        assert seqs(await events_of(user, queued_id)) == [2]


async def test_events_whose_day_had_no_partition_are_read_and_go_too(
    service: Service,
) -> None:
    settings = service.settings
    async with owner(service) as user:
        worker = await worker_of(user)
        for days, left in ((OLD - 2, [1, 2, 3]), (OLD, [])):
            held = await held_by(user, worker)
            await held.complete()
            job_id = await age(settings, held.id, days, partitioned=False)
            assert seqs(await events_of(user, job_id)) == [1, 2, 3]
            assert bool(await sweep(settings)) == (not left)
            assert seqs(await events_of(user, job_id)) == left


async def test_the_days_to_come_have_their_partitions(service: Service) -> None:
    """Partitions exist from the start, so none has to be created at midnight or a day later."""
    settings = service.settings
    names = await days_with_partition(settings)
    today = datetime.now(UTC).date()
    async with open_database(settings) as db:
        for offset in range(2):
            day = today + timedelta(days=offset)
            assert partition_name(day) in names
        far = today + timedelta(days=10)
        await asyncio.gather(*(partitions.create_partition(db, far) for _ in range(5)))
    assert await days_with_partition(settings) == names | {partition_name(far)}


async def test_a_table_in_use_is_left_for_the_next_sweep(service: Service) -> None:
    """Other statements wait only shortly behind a waiting cleanup, which is rolled back."""
    settings = service.settings
    assert settings.database_url
    async with owner(service) as user:
        held = await held_by(user, await worker_of(user))
        await held.complete()
        job_id = await age(settings, held.id, OLD)
        blocker = await asyncpg.connect(**connect_args(settings.database_url))
        try:
            transaction = blocker.transaction()
            await transaction.start()
            await blocker.fetch("select count(*) from job_events")
            report = await report_of(settings)
            assert report.problems == [
                "job_events is locked: old events are kept until the next cleanup"
            ]
            await transaction.rollback()
        finally:
            await blocker.close()
        assert seqs(await events_of(user, job_id)) == [1, 2, 3]
        assert await sweep(settings) == {"days of events": 1}


async def test_files_of_a_job_outlive_its_events(service: Service) -> None:
    settings = service.settings
    async with owner(service) as user:
        held = await held_by(user, await worker_of(user))
        made = await user.http.post("/v1/temp", content=b"preview", headers=held.headers)
        temp_id = made.json()["id"]
        held = await aged(settings, held, OLD)
        await execute(settings, "update temp_files set expires_at = now() + interval '1 h'")
        assert await sweep(settings) == {
            "days of events": 1,
            "temporary files kept for their jobs": 1,
        }
        await held.complete()
        assert await sweep(settings) == {"events in the default partition": 2}
        assert (await user.http.get(f"/v1/temp/{temp_id}")).status_code == httpx.codes.OK
        await age(settings, held.id, OLD)
        assert await sweep(settings) == {"days of events": 1}
        assert (await user.http.get(f"/v1/temp/{temp_id}")).status_code == httpx.codes.OK


@pytest.mark.parametrize(("after", "first"), [(0, 1), (2, 3), (3, 4)])
async def test_every_view_begins_with_the_gap(service: Service, after: int, first: int) -> None:
    async with owner(service) as user:
        job = await half_gone(service, user)
        assert job["result"] == {"answer": 42}
        expected = await gap(user, job, first, 4)
        assert expected["snapshot"]["nodes"][0]["status"] == "completed"
        async with open_socket(service, user.token) as socket:
            await socket.send(op="subscribe", job_id=job["id"], after=after)
            frames = await socket.until("caught_up")
        assert frames[0] == {"type": "subscribed", "job_id": job["id"], "last_seq": 7}
        assert frames[1] == expected
        assert [frame.get("seq") for frame in frames[2:]] == [5, 6, 7, 7]
        page = (await user.http.get(f"/v1/jobs/{job['id']}/events?after={after}&limit=2")).json()
        assert page["events"] == frames[1:4]
        assert (page["last_seq"], page["terminal"]) == (6, False)
        resume = {"Last-Event-ID": f"{after}"}
        lines = await streamed(user, job["id"], "application/x-ndjson", **resume)
        assert [json.loads(line) for line in lines.splitlines()] == frames[1:5]
        text = await streamed(user, job["id"], "text/event-stream", **resume)
        blocks = [block.split("\n") for block in text.strip().split("\n\n")]
        assert [block[0] for block in blocks] == ["id: 4", "id: 5", "id: 6", "id: 7"]
        assert json.loads(blocks[0][1].removeprefix("data: ")) == expected


@pytest.mark.parametrize("after", [4, 6, 7])
async def test_who_has_read_past_the_gap_hears_nothing_of_it(service: Service, after: int) -> None:
    async with owner(service) as user:
        job = await half_gone(service, user)
        async with open_socket(service, user.token) as socket:
            await socket.send(op="subscribe", job_id=job["id"], after=after)
            frames = await socket.until("caught_up")
        assert [frame["type"] for frame in frames if "attempt" not in frame] == [
            "subscribed",
            "caught_up",
        ]
        assert seqs(frames) == list(range(after + 1, 8))
        page = (await user.http.get(f"/v1/jobs/{job['id']}/events?after={after}")).json()
        assert (seqs(page["events"]), page["last_seq"], page["terminal"]) == (
            list(range(after + 1, 8)),
            7,
            True,
        )


@pytest.mark.parametrize("after", [0, 2])
async def test_a_job_without_any_event_is_told_as_one_gap_and_over(
    service: Service, after: int
) -> None:
    async with owner(service) as user:
        job = await all_gone(service, user)
        expected = await gap(user, job, after + 1, 4)
        async with open_socket(service, user.token) as socket:
            await socket.send(op="subscribe", job_id=job["id"], after=after)
            assert (await socket.until("caught_up"))[1:] == [
                expected,
                {"type": "caught_up", "job_id": job["id"], "seq": 4},
            ]
            await socket.send(op="ping")
            assert (await socket.receive())["type"] == "pong"
        page = (await user.http.get(f"/v1/jobs/{job['id']}/events?after={after}&wait=60")).json()
        assert page == {"events": [expected], "last_seq": 4, "terminal": True}
        resume = {"Last-Event-ID": f"{after}"}
        lines = await streamed(user, job["id"], "application/x-ndjson", **resume)
        assert [json.loads(line) for line in lines.splitlines()] == [expected]
        text = await streamed(user, job["id"], "text/event-stream", **resume)
        assert text.startswith("id: 4\ndata: ")
        assert len(text.strip().split("\n\n")) == 1


async def test_a_reader_is_told_of_what_goes_while_it_reads(service: Service) -> None:
    """It reads slowly, so that the rest of the log is still in the table when that is dropped."""
    settings = service.settings
    async with owner(service) as user:
        held = await held_by(user, await worker_of(user))
        large = {**LOG, "message": "x" * 60_000}
        for _ in range(20):
            await held.post(*[large] * 10)
        await held.complete()
        last = 203
        job_id = await age(settings, held.id, OLD)
        seen: list[int] = []
        reply: httpx.Response
        async with user.http.stream(
            "GET",
            f"/v1/jobs/{job_id}/events",
            headers={"Accept": "application/x-ndjson"},
            timeout=60,
        ) as reply:
            lines = reply.aiter_lines()
            seen.append(json.loads(await anext(lines))["seq"])
            assert await sweep(settings) == {"days of events": 1}
            gaps = []
            async for line in lines:
                frame = json.loads(line)
                if frame["type"] == "gap":
                    gaps.append(frame)
                    assert frame["from"] == seen[-1] + 1
                seen.append(frame.get("seq") or frame["to"])
        assert seen[-1] == last
        assert len(gaps) == 1
        assert gaps[0]["snapshot"]["job"]["status"] == "completed"
        assert seen == [*range(1, gaps[0]["from"]), last]


async def test_the_client_shows_the_gap_and_goes_on(service: Service) -> None:
    async with (
        owner(service) as user,
        ProcessingContext(base_url=service.url, token=user.token) as context,
    ):
        job = await half_gone(service, user)
        shown = [event async for event in context.job_events(job["id"], after=1)]
        assert [event.seq for event in shown] == [4, 5, 6, 7]
        missing = shown[0]
        assert isinstance(missing, Gap)
        assert (missing.from_, missing.to) == (2, 4)
        assert missing.snapshot.job.result == {"answer": 42}
        assert isinstance(shown[-1], JobUpdate)
        job = await all_gone(service, user)
        [missing] = [event async for event in context.job_events(job["id"])]
        assert isinstance(missing, Gap)
        assert missing.snapshot.job.status == "completed"
