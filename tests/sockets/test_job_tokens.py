"""Sockets that are opened with the token of a job."""

from __future__ import annotations

import pytest

from tests.support.jobs import (
    HeldJob,
    graph,
    open_socket,
    owner,
    refusal,
    start,
    status_is,
    worker_of,
)
from tests.support.services import Service, User


async def running(user: User) -> HeldJob:
    """Create a job, and claim it with a worker that runs nothing else."""
    await start(user, graph=graph("jobs.Parent"))
    return await (await worker_of(user, node_types=["jobs.Parent"])).take()


async def test_a_job_cancels_its_children_alone(service: Service) -> None:
    async with owner(service) as user:
        held = await running(user)
        stranger = (await start(user))["id"]
        async with service.client(held.token) as http:
            child = (await http.post("/v1/jobs", json={"graph": graph()})).json()
            grandchild_of_other = (await start(user))["id"]
            for job_id in (stranger, held.id, grandchild_of_other):
                reply = await http.post(f"/v1/jobs/{job_id}/cancel")
                assert refusal(reply) == (403, "forbidden")
                assert job_id in reply.json()["detail"]
            ids = [stranger, child["id"], held.id, "0" * 32]
            reply = await http.post("/v1/jobs/cancel", json={"ids": ids})
            assert reply.json() == {"cancelled": [child["id"]]}
            second = (await http.post("/v1/jobs", json={"graph": graph()})).json()
            assert (await http.post(f"/v1/jobs/{second['id']}/cancel")).status_code == 200
        assert child["parent_job_id"] == held.id
        for job_id in (child["id"], second["id"]):
            await status_is(user, job_id, "cancelled")
        await status_is(user, stranger, "queued")
        await status_is(user, held.id, "running")


async def test_a_job_that_is_run_over_the_socket_of_a_job_is_its_child(service: Service) -> None:
    async with owner(service) as user:
        held = await running(user)
        stranger = (await start(user))["id"]
        async with open_socket(service, held.token) as socket:
            await socket.send(op="run", id="r", request={"graph": graph()})
            child = (await socket.until("reply"))[-1]["job"]
            assert child["parent_job_id"] == held.id
            await socket.send(op="cancel", id="s", job_id=stranger)
            problem = (await socket.until("problem"))[-1]
            assert (problem["id"], problem["problem"]["status"]) == ("s", 403)
            await socket.send(op="cancel", id="c", job_id=child["id"])
            assert (await socket.until("reply"))[-1]["job"]["status"] == "cancelled"
        await status_is(user, stranger, "queued")


@pytest.mark.parametrize("op", ["ping", "run"])
async def test_the_socket_of_a_job_does_nothing_after_the_end_of_the_job(
    service: Service, op: str
) -> None:
    async with owner(service) as user:
        held = await running(user)
        async with open_socket(service, held.token) as socket:
            await socket.send(op="ping")
            assert (await socket.receive())["type"] == "pong"
            await held.complete()
            await socket.send(op=op, **({"request": {"graph": graph()}} if op == "run" else {}))
            assert await socket.closed() == 4401
        jobs = (await user.http.get("/v1/jobs")).json()["jobs"]
        assert [job["id"] for job in jobs] == [held.id]
