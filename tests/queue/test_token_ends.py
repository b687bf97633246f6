"""Tests of the end of a worker's token: revoked, expired, or with its user."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from app.queue.worker_removal import WorkerRemoval
from tests.support.jobs import LOG, HeldJob, events_of, get, graph, refusal, start, worker_of
from tests.support.services import Service, User, eventually

REVOCATION_S = 5


class Fleet:
    """A user with a worker of the scope `fleet`, which holds one job of another user."""

    def __init__(self, user: User, token_id: str, worker: User, held: HeldJob) -> None:
        self.user = user
        self.token_id = token_id
        self.worker = worker
        self.held = held

    @classmethod
    async def of(cls, service: Service, owner: User) -> Fleet:
        """Register the worker and claim a job of the owner."""
        user = await service.new_user()
        async with service.client() as admin:
            body = {"name": "fleet", "scopes": ["worker", "fleet"], "user_id": user.id}
            made = (await admin.post("/v1/tokens", json=body)).json()
        worker = User(user.id, made["token"], service.client(made["token"]))
        job = await start(owner, graph=graph(kind := f"fleet.{made['id']}"))
        hands = await worker_of(worker, node_types=[kind])
        held = await hands.take()
        assert held.id == job["id"]
        return cls(user, made["id"], worker, held)

    async def aclose(self) -> None:
        """Close the clients."""
        await self.user.http.aclose()
        await self.worker.http.aclose()


async def _status(http: httpx.AsyncClient, fleet: Fleet) -> int:
    return (await http.get("/v1/assets", headers=fleet.held.headers)).status_code


async def test_a_revoked_token_ends_its_workers_leases_on_every_replica(
    service: Service, user: User, admin: httpx.AsyncClient, start_service: Callable[..., Service]
) -> None:
    replica = start_service(like=service)
    fleet = await Fleet.of(service, user)
    async with replica.client(user.token) as there:
        assert await _status(there, fleet) == httpx.codes.OK
        assert (await admin.delete(f"/v1/tokens/{fleet.token_id}")).status_code == 204
        revoked_at = time.monotonic()
        # The transaction of the DELETE ended the lease, so the first request is refused.
        assert await _status(there, fleet) == httpx.codes.UNAUTHORIZED
        assert time.monotonic() - revoked_at < REVOCATION_S
    assert refusal(await fleet.held.heartbeat()) == (409, "lease_lost")
    assert refusal(await fleet.held.send(LOG)) == (409, "lease_lost")
    job = await get(user, fleet.held.id)
    assert (job["status"], job["attempt"], job["worker_id"]) == ("queued", 1, None)
    last = (await events_of(user, fleet.held.id))[-1]
    assert (last["status"], "revoked" in last["message"]) == ("queued", True)
    assert (await fleet.worker.http.get("/v1/workers")).status_code == httpx.codes.UNAUTHORIZED
    await fleet.aclose()


async def test_the_end_of_a_user_ends_the_leases_of_their_workers(
    service: Service, user: User, admin: httpx.AsyncClient
) -> None:
    fleet = await Fleet.of(service, user)
    assert (await admin.delete(f"/v1/users/{fleet.user.id}")).status_code == 204
    assert await _status(user.http, fleet) == httpx.codes.UNAUTHORIZED
    assert (await get(user, fleet.held.id))["status"] == "queued"
    await fleet.aclose()


@pytest.mark.parametrize("end", ["expired", "deleted elsewhere"])
async def test_an_end_that_no_request_reported_is_found(
    service: Service, user: User, end: str
) -> None:
    fleet = await Fleet.of(service, user)
    change = {
        "expired": "update tokens set expires_at = now() where id = $1",
        "deleted elsewhere": "delete from tokens where id = $1",
    }[end]
    await service.run(service.db.pool.execute(change, fleet.token_id))

    async def has_ended() -> bool:
        return await _status(user.http, fleet) == httpx.codes.UNAUTHORIZED

    await eventually(has_ended)
    assert (await get(user, fleet.held.id))["attempt"] == 1
    await fleet.aclose()


async def test_workers_of_valid_tokens_stay(service: Service, user: User) -> None:
    fleet = await Fleet.of(service, user)
    await service.run(service.get(WorkerRemoval).end_invalid_tokens())
    assert (await fleet.held.heartbeat()).status_code == httpx.codes.OK
    await fleet.held.complete()
    await fleet.aclose()


async def test_a_job_of_a_deleted_user_is_lost_to_its_worker(
    service: Service, user: User, admin: httpx.AsyncClient
) -> None:
    gone = await service.new_user()
    fleet = await Fleet.of(service, gone)
    assert (await admin.delete(f"/v1/users/{gone.id}")).status_code == 204
    assert await _status(user.http, fleet) == httpx.codes.UNAUTHORIZED

    async def is_refused() -> bool:
        return (await fleet.held.heartbeat()).status_code == httpx.codes.UNAUTHORIZED

    await eventually(is_refused)
    await fleet.aclose()
    await gone.http.aclose()
