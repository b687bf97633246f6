"""Retention of jobs: the sweeper deletes ended jobs and all that belongs to them."""

from __future__ import annotations

from typing import Any

from tests.support.ageing import age
from tests.support.jobs import HeldJob, owner, refusal, start, worker_of
from tests.support.services import Service, User
from tests.support.sweeps import sweep

OLD = 91
YOUNG = 89
NODE = {"type": "node_update", "node_id": "n0", "node_name": "n", "status": "running"}


async def ended(service: Service, user: User, days: int) -> str:
    """Complete a job with a node, and move it into the past; return its id."""
    await start(user)
    held: HeldJob = await (await worker_of(user)).take()
    await held.post(NODE)
    await held.complete()
    return await age(service.settings, held.id, days)


async def rows_of(service: Service, job_id: str) -> dict[str, int]:
    """Return how many rows a job has, by table."""

    async def count() -> dict[str, int]:
        return {
            table: await service.db.pool.fetchval(
                f"select count(*) from {table} where {column} = $1", job_id
            )
            for table, column in (("jobs", "id"), ("job_events", "job_id"), ("job_nodes", "job_id"))
        }

    return await service.run(count())


async def test_jobs_that_ended_before_the_retention_go_with_their_events_and_nodes(
    service: Service,
) -> None:
    async with owner(service) as user:
        old, young = await ended(service, user, OLD), await ended(service, user, YOUNG)
        retention: dict[str, Any] = {"event_retention_days": 1000}
        assert await sweep(service.settings, dry=True, **retention) == {"expired jobs": 1}
        assert (await rows_of(service, old))["job_events"] == 4
        assert await sweep(service.settings, **retention) == {"expired jobs": 1}
        assert await rows_of(service, old) == {"jobs": 0, "job_events": 0, "job_nodes": 0}
        assert await rows_of(service, young) == {"jobs": 1, "job_events": 4, "job_nodes": 1}
        assert (await user.http.get(f"/v1/jobs/{old}")).status_code == 404
        assert await sweep(service.settings, **retention) == {}


async def test_unfinished_jobs_stay_however_old_they_are(service: Service) -> None:
    async with owner(service) as user:
        queued = await age(service.settings, (await start(user))["id"], OLD)
        assert "expired jobs" not in await sweep(service.settings)
        assert (await user.http.get(f"/v1/jobs/{queued}")).json()["status"] == "queued"


async def test_without_a_limit_jobs_stay_for_ever(service: Service) -> None:
    async with owner(service) as user:
        old = await ended(service, user, 5 * OLD)
        assert "expired jobs" not in await sweep(service.settings, job_retention_days=0)
        assert (await user.http.get(f"/v1/jobs/{old}")).status_code == 200
        assert (await sweep(service.settings))["expired jobs"] == 1


async def test_a_repeated_request_for_a_deleted_job_finds_none_and_creates_none(
    service: Service,
) -> None:
    async with owner(service) as user:
        body = {"graph": {"nodes": [{"id": "n", "type": "t"}]}}
        for path, sent in (("/v1/jobs", body), ("/v1/jobs/batch", {"jobs": [body]})):
            for headers in ({}, {"Prefer": "wait=1"}, {"Accept": "text/event-stream"}):
                key = {"Idempotency-Key": f"{path} {headers}"}
                made = (await user.http.post(path, json=sent, headers=key)).json()
                job_id = (made if "id" in made else made["jobs"][0])["id"]
                await user.http.post(f"/v1/jobs/{job_id}/cancel")
                assert (await user.http.delete(f"/v1/jobs/{job_id}")).status_code == 204
                again = await user.http.post(path, json=sent, headers={**key, **headers})
                assert refusal(again) == (404, "job_not_found"), (path, headers)
                assert job_id in again.json()["detail"]
        assert (await user.http.get("/v1/jobs")).json()["jobs"] == []
