"""Names, metadata and filters of jobs, and their cancellation in batches."""

from __future__ import annotations

import pytest

from tests.support.jobs import get, graph, held_job, open_socket, owner, refusal, start, worker_of
from tests.support.services import Service, User


async def listed(user: User, **filters: str) -> list[str]:
    """Return the ids of the jobs in a list."""
    reply = await user.http.get("/v1/jobs", params=filters)
    assert reply.status_code == 200, reply.text
    return [job["id"] for job in reply.json()["jobs"]]


async def test_a_job_keeps_its_name_and_metadata_everywhere(service: Service) -> None:
    async with owner(service) as user, open_socket(service, user.token) as socket:
        given = {"name": "a name", "metadata": {"a": [1, None, {"b": 1.5}]}}
        job = await start(user, **given)
        held = await (await worker_of(user)).take()
        await socket.send(op="subscribe", jobs="all")
        [item] = (await socket.until("snapshot"))[-1]["jobs"]
        await held.post({"type": "job_update", "status": "failed"})
        retried = await user.http.post(f"/v1/jobs/{job['id']}/retry")
        [first, *_] = (await user.http.get("/v1/jobs")).json()["jobs"]
        for each in (job, held.job, item["job"], retried.json(), first, await get(user, job["id"])):
            assert {name: each[name] for name in given} == given
            assert each["rerun_of"] is None


async def test_jobs_without_name_and_metadata_have_null_and_an_empty_object(user: User) -> None:
    job = await start(user)
    assert (job["name"], job["metadata"]) == (None, {})
    assert refusal(await user.http.post("/v1/jobs", json={"graph": graph(), "name": ""})) == (
        422,
        "validation_error",
    )


async def test_lists_are_filtered_by_name_parent_and_rerun(service: Service) -> None:
    async with owner(service) as user, owner(service) as other:
        parent = await held_job(user, name="x")
        await start(other, name="x")
        async with service.client(parent.token) as http:
            reply = await http.post("/v1/jobs", json={"graph": graph(), "name": "child"})
            child = reply.json()["id"]
        named = (await start(user, name="x"))["id"]
        assert await listed(user, name="x") == [named, parent.id]
        assert await listed(user, name="x", status="queued") == [named]
        assert await listed(user, parent_job_id=parent.id) == [child]
        assert await listed(user, parent_job_id=parent.id, name="x") == []
        assert await listed(user, rerun_of=parent.id) == []
        assert await listed(other, parent_job_id=parent.id) == []
        assert len(await listed(user, name="", parent_job_id="")) == 3
        for nothing in ({"parent_job_id": "no id"}, {"rerun_of": "\0"}, {"name": "a\0"}):
            assert await listed(user, **nothing) == []


async def test_a_batch_of_jobs_is_cancelled_in_one_request(service: Service) -> None:
    async with owner(service) as user, owner(service) as other:
        done = await held_job(user)
        await done.complete()
        running = await held_job(user)
        queued = [(await start(user))["id"] for _ in range(60)]
        strange = (await start(other))["id"]
        ids = [queued[0], strange, running.id, done.id, "0" * 32, "x", queued[0], *queued[1:]]
        for _ in range(2):
            reply = await user.http.post("/v1/jobs/cancel", json={"ids": ids})
            assert reply.status_code == 200, reply.text
            assert reply.json() == {"cancelled": [queued[0], running.id, *queued[1:]]}
        assert (await running.heartbeat()).json()["cancel_requested"] is True
        assert {(await get(user, job_id))["status"] for job_id in queued} == {"cancelled"}
        assert (await get(user, done.id))["status"] == "completed"
        assert (await get(other, strange))["status"] == "queued"


@pytest.mark.parametrize("ids", [[], ["0" * 32] * 1001])
async def test_a_batch_has_1_to_1000_ids(user: User, ids: list[str]) -> None:
    reply = await user.http.post("/v1/jobs/cancel", json={"ids": ids})
    assert refusal(reply) == (422, "validation_error")
