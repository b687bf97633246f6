"""Tests of ingest: events of several jobs in one request, and the text of stored events."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.support.jobs import HandWorker, HeldJob, events_of, get, owner, seqs, start, worker_of
from tests.support.services import Service, User

LOG = {"type": "log", "level": "info", "message": "m"}
END = {"type": "job_update", "status": "completed", "result": {"x": 1}}


async def held_jobs(user: User, count: int) -> tuple[HandWorker, list[HeldJob]]:
    for _ in range(count):
        await start(user)
    worker = await worker_of(user)
    return worker, await worker.claim(max_jobs=count)


def batch(held: HeldJob, *events: dict[str, Any], first: int = 1) -> dict[str, Any]:
    numbered = [{"client_seq": number, **event} for number, event in enumerate(events, first)]
    return {"job_id": held.id, "token": held.token, "events": numbered}


async def post(worker: HandWorker, *batches: dict[str, Any]) -> Any:
    return await worker.http.post(f"/v1/workers/{worker.id}/events", json={"jobs": list(batches)})


async def test_events_of_several_jobs_are_stored_and_answered_job_by_job(service: Service) -> None:
    async with owner(service) as user:
        worker, (one, other) = await held_jobs(user, 2)
        reply = await post(worker, batch(one, LOG, END), batch(other, LOG))
        assert reply.status_code == 200, reply.text
        first, second = reply.json()["jobs"]
        assert (first["job_id"], first["last_seq"], first["lease_expires_at"]) == (one.id, 4, None)
        assert (second["job_id"], second["last_seq"]) == (other.id, 3)
        assert second["lease_expires_at"] > other.expires_at
        assert first["problem"] is None
        ended = await get(user, one.id)
        assert (ended["status"], ended["result"], ended["progress"]) == ("completed", {"x": 1}, 1)
        assert (await get(user, other.id))["status"] == "running"
        assert seqs(await events_of(user, one.id)) == [1, 2, 3, 4]


async def test_one_jobs_refusal_is_its_own(service: Service) -> None:
    async with owner(service) as user:
        worker, held = await held_jobs(user, 6)
        ended, gap, strange, wrong, failing, well = held
        await ended.complete()
        reply = await post(
            worker,
            batch(ended, LOG, first=2),
            batch(gap, LOG, first=3),
            batch(strange, LOG) | {"token": well.token},
            batch(wrong, {"type": "log"}),
            batch(failing, {"type": "job_update", "status": "failed"}),
            batch(well, LOG),
        )
        answers = reply.json()["jobs"]
        codes = [answer["problem"] and answer["problem"]["code"] for answer in answers]
        expected = ["job_ended", "client_seq_gap", "job_not_found", "validation_error"]
        assert codes == [*expected, None, None]
        assert (await get(user, failing.id))["status"] == "failed"
        for untouched in (gap, strange, wrong):
            assert seqs(await events_of(user, untouched.id)) == [1, 2]
        assert seqs(await events_of(user, well.id)) == [1, 2, 3]


async def test_a_batch_of_several_sent_twice_is_stored_once(service: Service) -> None:
    async with owner(service) as user:
        worker, (one, other) = await held_jobs(user, 2)
        batches = (batch(one, LOG, END), batch(other, LOG))
        replies = await asyncio.gather(*(post(worker, *batches) for _ in range(6)))
        assert {reply.status_code for reply in replies} == {200}
        answers = [answer for reply in replies for answer in reply.json()["jobs"]]
        assert {answer["last_seq"] for answer in answers if answer["job_id"] == one.id} == {4}
        assert {answer["problem"] for answer in answers} == {None}
        assert seqs(await events_of(user, one.id)) == [1, 2, 3, 4]
        assert seqs(await events_of(user, other.id)) == [1, 2, 3]


async def test_only_the_workers_own_token_posts_for_it(service: Service) -> None:
    async with owner(service) as user, owner(service) as other:
        worker, [held] = await held_jobs(user, 1)
        by_other = await post(HandWorker(worker.id, other.http), batch(held, LOG))
        assert by_other.status_code == 404
        by_lease = await worker.http.post(
            f"/v1/workers/{worker.id}/events", json={"jobs": []}, headers=held.headers
        )
        assert by_lease.status_code == 403
        twice = await post(worker, batch(held, LOG), batch(held, LOG, first=2))
        assert (twice.status_code, twice.json()["code"]) == (422, "validation_error")
        assert seqs(await events_of(user, held.id)) == [1, 2]


async def test_readers_of_the_stream_see_the_very_text_that_is_stored(service: Service) -> None:
    """Local subscribers receive the text of the service, all others the text from PostgreSQL."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    odd = {"type": "log", "level": "info", "message": 'tab\t "quote" \\ \u0000 é 😀 {x} %s $1'}
    async with owner(service) as user:
        for headers in ({}, {"traceparent": trace}):
            reply = await user.http.post(
                "/v1/jobs", json={"graph": {"nodes": [], "edges": []}}, headers=headers
            )
            job_id = reply.json()["id"]
            async with user.http.stream(
                "GET", f"/v1/jobs/{job_id}/events", headers={"Accept": "application/x-ndjson"}
            ) as stream:
                lines = stream.aiter_lines()
                seen = [await anext(lines)]  # it listens: what follows comes from memory
                [held] = await (await worker_of(user)).claim()
                await held.post(odd, {"type": "node_update", **_node("running")}, LOG)
                await held.post({"type": "node_update", **_node("completed")}, END)
                seen += [line async for line in lines]
            stored = await user.http.get(f"/v1/jobs/{job_id}/events")
            joined = ",".join(seen)
            assert stored.text.startswith(f'{{"events":[{joined}],')
            events = [json.loads(line) for line in seen]
            assert [event.get("traceparent") for event in events] == (
                [headers.get("traceparent")] * 7
            )
            assert events[2]["message"] == odd["message"]


def _node(status: str) -> dict[str, str]:
    return {"node_id": "n", "node_name": "N", "status": status}
