"""Limits on what one user may store: numbers of objects, and sizes of their JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.jobs import owner, refusal
from tests.support.services import Service, User, eventually

GRAPH = {"nodes": [{"id": "n", "type": "t"}], "edges": []}
TOO_LARGE = {"a": "x" * 65_536}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/workflows": {"name": "w", "graph": GRAPH},
    "/v1/workers": {"name": "w"},
    "/v1/tokens": {"name": "t", "scopes": ["user"]},
    "/v1/jobs": {"graph": GRAPH},
}


@pytest.fixture
def limited(start_service: Callable[..., Service]) -> Service:
    """A service with small quotas."""
    return start_service(
        max_workflows_per_user=3,
        max_workers_per_user=3,
        max_tokens_per_user=4,  # one of them makes the requests
        max_queued_jobs_per_user=3,
    )


async def test_a_user_has_at_most_as_many_objects_as_the_quota(limited: Service) -> None:
    async with owner(limited) as user, owner(limited) as other:
        for path, body in BODIES.items():
            made = [await user.http.post(path, json=body) for _ in range(5)]
            assert [reply.is_success for reply in made] == [True] * 3 + [False] * 2, path
            assert refusal(made[-1]) == (403, "quota_exceeded"), path
            assert (await other.http.post(path, json=body)).is_success, path


async def test_a_deleted_object_makes_room_again(limited: Service) -> None:
    async with owner(limited) as user:
        path, body = "/v1/workflows", BODIES["/v1/workflows"]
        made = [(await user.http.post(path, json=body)).json()["id"] for _ in range(3)]
        assert (await user.http.post(path, json=body)).status_code == 403
        assert (await user.http.delete(f"{path}/{made[0]}")).status_code == 204

        async def has_room() -> bool:
            return (await user.http.post(path, json=body)).status_code == 201

        await eventually(has_room)
        assert (await user.http.post(path, json=body)).status_code == 403


async def test_a_batch_of_jobs_counts_with_all_its_jobs(limited: Service) -> None:
    async with owner(limited) as user:
        job = {"graph": GRAPH}
        reply = await user.http.post("/v1/jobs/batch", json={"jobs": [job] * 4})
        assert refusal(reply) == (403, "quota_exceeded")
        assert (await user.http.post("/v1/jobs/batch", json={"jobs": [job] * 3})).is_success


async def test_a_repeated_request_is_answered_even_when_the_quota_is_reached(
    limited: Service,
) -> None:
    async with owner(limited) as user:
        for path in ("/v1/workflows", "/v1/workers", "/v1/jobs"):
            headers = {"Idempotency-Key": "once"}
            first = await user.http.post(path, json=BODIES[path], headers=headers)
            for _ in range(2):
                assert (await user.http.post(path, json=BODIES[path])).is_success
            again = await user.http.post(path, json=BODIES[path], headers=headers)
            assert again.status_code == first.status_code
            assert again.json()["id"] == first.json()["id"]


@pytest.mark.parametrize(
    ("path", "field"),
    [("/v1/workflows", "settings"), ("/v1/workers", "metadata"), ("/v1/jobs", "metadata")],
)
async def test_large_metadata_is_refused(service: Service, path: str, field: str) -> None:
    async with owner(service) as user:
        reply = await user.http.post(path, json={**BODIES[path], field: TOO_LARGE})
        assert refusal(reply) == (413, "metadata_too_large")
        fits = {"a": "x" * 65_000}
        assert (await user.http.post(path, json={**BODIES[path], field: fits})).is_success


async def test_a_workflow_with_settings_over_the_limit_stays_readable_and_editable(
    service: Service, user: User
) -> None:
    body: dict[str, Any] = BODIES["/v1/workflows"]
    path = f"/v1/workflows/{(await user.http.post('/v1/workflows', json=body)).json()['id']}"
    statement = "update workflows set settings = $2::text::json where id = $1"
    large = json.dumps(TOO_LARGE)
    await service.run(service.db.pool.execute(statement, path[-32:], large))
    assert (await user.http.get(path)).json()["settings"] == TOO_LARGE
    renamed = await user.http.patch(path, json={"name": "new"})
    assert (renamed.status_code, renamed.json()["settings"]) == (200, TOO_LARGE)
    put = await user.http.put(path, json={**body, "name": "newer", "settings": TOO_LARGE})
    assert put.status_code == 200
    larger = await user.http.patch(path, json={"settings": {**TOO_LARGE, "b": 1}})
    assert refusal(larger) == (413, "metadata_too_large")


@pytest.mark.parametrize(("field", "limit"), [("node_types", 20_000), ("capabilities", 1_000)])
async def test_a_worker_registers_at_most_as_many_names_as_the_limit(
    service: Service, field: str, limit: int
) -> None:
    async with owner(service) as user:
        for count, status in ((limit, 201), (limit + 1, 422)):
            names = [f"n{number}" for number in range(count)]
            reply = await user.http.post("/v1/workers", json={"name": "w", field: names})
            assert reply.status_code == status, reply.text
        [error] = reply.json()["errors"]
        assert (error["loc"], error["type"]) == (["body", field], "too_long")


async def test_running_requests_hold_a_limited_number_of_idempotency_keys(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(max_idempotency_keys_per_user=3)
    async with owner(service) as user:
        for number in range(5):  # keys of requests that have ended do not count
            headers = {"Idempotency-Key": f"{number}"}
            path = "/v1/jobs"
            assert (await user.http.post(path, json=BODIES[path], headers=headers)).is_success
        jobs = {"jobs": [BODIES["/v1/jobs"]] * 4}  # one key for each job
        headers = {"Idempotency-Key": "batch"}
        reply = await user.http.post("/v1/jobs/batch", json=jobs, headers=headers)
        assert refusal(reply) == (403, "quota_exceeded")
        jobs["jobs"].pop()
        reply = await user.http.post("/v1/jobs/batch", json=jobs, headers=headers)
        assert reply.is_success, reply.text
