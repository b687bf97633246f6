"""`POST /v1/jobs/batch`: many jobs with one request, all of them or none."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.jobs import events_of, get, graph, owner, worker_of
from tests.support.services import Service, User

CIRCLE = {
    "nodes": [{"id": "a", "type": "t"}],
    "edges": [{"source": "a", "sourceHandle": "o", "target": "a", "targetHandle": "i"}],
}


async def post(user: User, *jobs: dict[str, Any], key: str | None = None) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await user.http.post("/v1/jobs/batch", json={"jobs": list(jobs)}, headers=headers)


def job(**fields: Any) -> dict[str, Any]:
    return {"graph": graph(), **fields}


async def listed(user: User) -> list[str]:
    return [each["id"] for each in (await user.http.get("/v1/jobs")).json()["jobs"]]


async def test_many_jobs_are_made_in_their_order(service: Service) -> None:
    async with owner(service) as user:
        reply = await post(user, *(job(params={"n": n}) for n in range(100)))
        assert reply.status_code == 202, reply.text
        made = reply.json()["jobs"]
        assert [each["params"] for each in made] == [{"n": n} for n in range(100)]
        assert await listed(user) == [each["id"] for each in reversed(made)]
        assert made[7] == await get(user, made[7]["id"])
        assert "No worker is connected" in made[7]["waiting_reason"]
        [event] = await events_of(user, made[7]["id"])
        assert (event["seq"], event["status"]) == (1, "queued")
        worker = await worker_of(user)
        held = await worker.claim(max_jobs=100)
        assert [lease.id for lease in held] == [each["id"] for each in made]


async def test_all_are_made_or_none(service: Service) -> None:
    async with owner(service) as user:
        reply = await post(user, job(), job(graph=CIRCLE), job())
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid_graph")
        assert reply.json()["detail"].startswith("jobs.1: ")
        assert [each["type"] for each in reply.json()["errors"]] == ["cycle"]
        reply = await post(user, job(), {"workflow_id": "0" * 32})
        assert (reply.status_code, reply.json()["code"]) == (404, "workflow_not_found")
        reply = await post(user, job(), job(priority=101))
        assert reply.status_code == 422
        assert reply.json()["errors"][0]["loc"] == ["body", "jobs", 1, "priority"]
        assert await listed(user) == []


@pytest.mark.parametrize("count", [0, 101])
async def test_there_is_a_limit(service: Service, count: int) -> None:
    async with owner(service) as user:
        reply = await post(user, *[job()] * count)
        assert reply.status_code == 422
        assert reply.json()["errors"][0]["loc"] == ["body", "jobs"]


async def test_a_batch_that_is_sent_twice_is_made_once(service: Service) -> None:
    async with owner(service) as user:
        first = await post(user, job(), job(), key="k")
        again = await post(user, job(), job(), key="k")
        assert (first.status_code, again.status_code) == (202, 202)
        assert "idempotent-replay" not in first.headers
        assert again.headers["idempotent-replay"] == "true"
        assert again.json() == first.json()
        assert len(await listed(user)) == 2


@pytest.mark.parametrize("count", [1, 3])
async def test_a_key_with_more_or_fewer_jobs_is_reused(service: Service, count: int) -> None:
    async with owner(service) as user:
        await post(user, job(), job(), key="k")
        reply = await post(user, *[job()] * count, key="k")
        assert (reply.status_code, reply.json()["code"]) == (422, "idempotency_key_reused")
        assert len(await listed(user)) == 2
        assert (await post(user, job(), key="k 2")).status_code == 202


async def test_a_batch_that_failed_frees_its_key(service: Service) -> None:
    async with owner(service) as user:
        assert (await post(user, job(graph=CIRCLE), key="k")).status_code == 422
        assert (await post(user, job(), key="k")).status_code == 202


async def test_the_same_batch_at_once_is_made_once(service: Service) -> None:
    async with owner(service) as user:
        replies = await asyncio.gather(*(post(user, job(), job(), key="k") for _ in range(6)))
        codes = {reply.status_code for reply in replies}
        assert codes <= {202, 409}
        assert 202 in codes
        assert len(await listed(user)) == 2


async def test_jobs_that_a_job_starts_are_its_children(service: Service) -> None:
    async with owner(service) as user:
        await post(user, job())
        parent = await (await worker_of(user)).take()
        async with service.client(parent.token) as as_job:
            reply = await as_job.post("/v1/jobs/batch", json={"jobs": [job(), job()]})
        made = reply.json()["jobs"]
        assert [each["parent_job_id"] for each in made] == [parent.id] * 2
        (await user.http.post(f"/v1/jobs/{parent.id}/cancel")).raise_for_status()
        assert {(await get(user, each["id"]))["status"] for each in made} == {"cancelled"}


async def test_jobs_of_many_requests_at_once_are_all_made_each_for_its_user(
    service: Service,
) -> None:
    async with owner(service) as one, owner(service) as other:
        replies = await asyncio.gather(
            *(
                user.http.post("/v1/jobs", json=job(params={"n": n}))
                for n in range(30)
                for user in (one, other)
            )
        )
        for user, made in ((one, replies[::2]), (other, replies[1::2])):
            assert [reply.json()["params"] for reply in made] == [{"n": n} for n in range(30)]
            assert sorted(await listed(user)) == sorted(reply.json()["id"] for reply in made)
        [event] = await events_of(other, replies[-1].json()["id"])
        assert (event["seq"], event["status"]) == (1, "queued")


async def test_a_job_of_a_user_who_is_gone_spoils_nobody_elses(service: Service) -> None:
    """The token is cached for some seconds, while the user's row may be deleted."""
    async with owner(service) as user, owner(service) as gone:
        await listed(gone)
        pool = service.db.pool
        await service.run(pool.execute("delete from users where id = $1", gone.id))
        replies = await asyncio.gather(
            *(who.http.post("/v1/jobs", json=job()) for _ in range(10) for who in (gone, user))
        )
        assert {reply.status_code for reply in replies[1::2]} == {202}
        assert {reply.status_code for reply in replies[::2]} <= {202, 401}
        assert len(await listed(user)) == 10
