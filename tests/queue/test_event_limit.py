"""Tests of the number of events of a job: past the limit, log lines and progress are dropped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from tests.support.jobs import LOG, Event, HeldJob, events_of, get, held_job, owner, seqs
from tests.support.services import Service, User

MAX = 10
CHUNK: Event = {
    "type": "node_progress",
    "node_id": "n",
    "progress": 1.0,
    "total": 2.0,
    "chunk": "text",
}
PROGRESS: Event = CHUNK | {"chunk": ""}
NOTICE = "{} log lines and progress events dropped: the job has too many events"


@pytest_asyncio.fixture
async def held(start_service: Callable[..., Service]) -> AsyncIterator[tuple[User, HeldJob]]:
    """A job of a service where jobs have at most ten events; two are there."""
    async with owner(start_service(max_job_events=MAX)) as user:
        yield user, await held_job(user)


async def kinds(user: User, job: HeldJob) -> list[str]:
    events = await events_of(user, job.id)
    assert seqs(events) == list(range(1, len(events) + 1))
    return [event["type"] for event in events][2:]


async def test_lines_past_the_limit_are_dropped_and_counted_in_a_last_one(
    held: tuple[User, HeldJob],
) -> None:
    user, job = held
    assert (await job.post(*[LOG] * 5))["last_seq"] == 7
    assert (await job.post(LOG, LOG, CHUNK, LOG, PROGRESS, CHUNK, LOG))["last_seq"] == 11
    assert (await job.post(LOG, PROGRESS))["last_seq"] == 11
    again = await job.send(LOG, PROGRESS, first=13)
    assert (again.status_code, again.json()["last_seq"]) == (200, 11)
    assert (await job.complete(x=1))["last_seq"] == 13
    assert await kinds(user, job) == [
        *["log"] * 7,
        *["node_progress"] * 2,
        *("log", "job_update"),
    ]
    notice = (await events_of(user, job.id))[-2]
    assert (notice["level"], notice["message"]) == ("warning", NOTICE.format(5))
    ended = await get(user, job.id)
    assert (ended["status"], ended["result"]) == ("completed", {"x": 1})


async def test_a_job_at_its_limit_ends_without_a_notice(held: tuple[User, HeldJob]) -> None:
    user, job = held
    await job.post(*[LOG] * (MAX - 2))
    await job.complete()
    assert await kinds(user, job) == [*["log"] * (MAX - 2), "job_update"]


async def test_a_job_that_the_service_ends_has_the_notice_too(held: tuple[User, HeldJob]) -> None:
    user, job = held
    await job.post(*[LOG] * 20)
    await user.http.post(f"/v1/jobs/{job.id}/cancel")
    await job.release()
    events = await events_of(user, job.id)
    assert events[-2]["message"] == NOTICE.format(12)
    assert events[-1]["status"] == "cancelled"


async def test_the_count_goes_on_in_the_next_attempt(held: tuple[User, HeldJob]) -> None:
    user, job = held
    await job.post(*[LOG] * 12)
    await job.release()
    workers = (await user.http.get("/v1/workers")).json()["workers"]
    path = f"/v1/workers/{workers[0]['id']}/claim"
    [lease] = (await user.http.post(path, json={})).json()["leases"]
    names = ("job", "attempt", "token", "expires_at")
    again = HeldJob(http=user.http, **{name: lease[name] for name in names})
    await again.post(*[LOG] * 3)
    await again.complete()
    assert (await events_of(user, job.id))[-2]["message"] == NOTICE.format(7)
