"""Tests of what an admin may do with the workers of others."""

from __future__ import annotations

from tests.support.jobs import owner, start, status_is, worker_of
from tests.support.services import Service


async def test_an_admin_lists_and_removes_every_users_workers(service: Service) -> None:
    async with owner(service) as user, await service.new_user(scopes=("admin",)) as admin:
        job = await start(user)
        worker = await worker_of(user, name="theirs")
        await worker.take()
        listed = (await admin.http.get("/v1/workers", params={"all": "true"})).json()["workers"]
        assert "theirs" in [each["name"] for each in listed]
        assert (await admin.http.get("/v1/workers")).json()["workers"] == []
        assert (await admin.http.delete(f"/v1/workers/{worker.id}")).status_code == 204
        await status_is(user, job["id"], "queued")
        gone = await admin.http.delete(f"/v1/workers/{worker.id}")
        assert (gone.status_code, gone.json()["code"]) == (404, "worker_not_found")


async def test_an_admin_does_not_speak_for_anothers_worker(service: Service) -> None:
    scopes = ("worker", "admin")
    async with owner(service) as user, await service.new_user(scopes=scopes) as admin:
        worker = await worker_of(user)
        for route in ("heartbeat", "claim"):
            reply = await admin.http.post(f"/v1/workers/{worker.id}/{route}", json={})
            assert reply.status_code == 404, route


async def test_only_an_admin_lists_all_workers(service: Service) -> None:
    async with owner(service) as user:
        reply = await user.http.get("/v1/workers", params={"all": "true"})
        assert reply.status_code == 403
        assert (await user.http.get("/v1/workers", params={"all": "false"})).status_code == 200
