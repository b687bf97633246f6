"""Tests of the conventions of all routes: errors, request ids, cursors, idempotency, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.application import create_app
from app.domains import DOMAINS
from app.http.pagination import encode_cursor
from app.registration import access_table, secured_routes
from app.settings import Settings
from tests.support.services import WAIT_S, Service, User

WORKFLOW: dict[str, Any] = {"name": "w", "graph": {"nodes": []}}
DIGITS = encode_cursor("9" * 5000)


def test_every_route_is_in_the_table_and_the_table_has_no_other(
    new_settings: Callable[..., Settings],
) -> None:
    app = create_app(new_settings())
    paths = app.openapi()["paths"]
    served = {(m.upper(), path) for path, methods in paths.items() for m in methods}
    assert served == set(access_table(secured_routes(DOMAINS)))


async def test_a_problem_lists_the_validation_errors(user: User) -> None:
    reply = await user.http.post(
        "/v1/workflows", json={**WORKFLOW, "nmae": 1}, headers={"X-Request-Id": "abc-1"}
    )
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["x-request-id"] == "abc-1"
    body = reply.json()
    assert body["type"] == "/problems/validation_error"
    assert body["status"] == 422
    assert body["instance"] == "/v1/workflows"
    assert body["request_id"] == "abc-1"
    assert body["errors"] == [
        {
            "loc": ["body", "nmae"],
            "msg": "Extra inputs are not permitted",
            "type": "extra_forbidden",
        }
    ]


@pytest.mark.parametrize("given", ["", "a b", "x" * 200, "\xe9"])
async def test_an_invalid_request_id_is_replaced(user: User, given: str) -> None:
    reply = await user.http.get("/v1/me", headers=[(b"X-Request-Id", given.encode("latin-1"))])
    assert reply.headers["x-request-id"] not in ("", given)


@pytest.mark.parametrize("cursor", ["x", "!!!", "MTo", "MTp4", "%00", "a" * 5000, DIGITS])
async def test_a_bad_cursor_is_refused(user: User, cursor: str) -> None:
    workflow = (await user.http.post("/v1/workflows", json=WORKFLOW)).json()["id"]
    versions = f"/v1/workflows/{workflow}/versions"
    for path in ("/v1/workflows", "/v1/jobs", "/v1/assets", "/v1/tokens", versions):
        reply = await user.http.get(f"{path}?cursor={cursor}")
        assert (reply.status_code, reply.json()["code"]) == (400, "invalid_cursor"), path


async def test_an_empty_query_value_means_absent(user: User) -> None:
    for path in ("/v1/workflows", "/v1/jobs", "/v1/assets", "/v1/tokens"):
        reply = await user.http.get(f"{path}?cursor=&page_size=&q=&status=&unknown=1")
        assert reply.status_code == 200, reply.text


async def test_an_empty_query_value_of_one_object_means_absent(user: User) -> None:
    workflow = (await user.http.post("/v1/workflows", json=WORKFLOW)).json()["id"]
    job = (await user.http.post(f"/v1/workflows/{workflow}/run")).json()["id"]
    for path in (
        f"/v1/workflows/{workflow}/versions?cursor=&page_size=",
        f"/v1/jobs/{job}/events?after=&wait=&limit=",
    ):
        reply = await user.http.get(path)
        assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/workflows/{}"),
        ("PATCH", "/v1/workflows/{}"),
        ("POST", "/v1/workflows/{}/run"),
        ("GET", "/v1/workflows/{}/versions?page_size=0"),
        ("PATCH", "/v1/assets/{}"),
        ("GET", "/v1/assets/{}/url?expires_in=0"),
        ("GET", "/v1/jobs/{}/events?limit=0"),
        ("POST", "/v1/workers/{}/heartbeat"),
        ("POST", "/v1/workers/{}/claim"),
    ],
)
async def test_a_missing_object_is_reported_before_an_invalid_body_or_query(
    admin: httpx.AsyncClient, method: str, path: str
) -> None:
    headers = {"Content-Type": "application/json"}
    for body in (b'{"unknown": 1}', b"{"):
        for absent in ("0" * 32, "malformed"):
            reply = await admin.request(method, path.format(absent), content=body, headers=headers)
            assert reply.status_code == 404, reply.text


async def test_an_invalid_body_for_an_existing_object_is_a_validation_error(user: User) -> None:
    workflow = (await user.http.post("/v1/workflows", json=WORKFLOW)).json()["id"]
    reply = await user.http.patch(f"/v1/workflows/{workflow}", json={"unknown": 1})
    assert (reply.status_code, reply.json()["code"]) == (422, "validation_error")


@pytest.mark.parametrize("absent", ["x", "x" * 200, "0" * 32])
async def test_a_malformed_id_in_a_body_is_not_found(
    user: User, admin: httpx.AsyncClient, absent: str
) -> None:
    reply = await user.http.post("/v1/jobs", json={"workflow_id": absent})
    assert (reply.status_code, reply.json()["code"]) == (404, "workflow_not_found")
    reply = await admin.post(
        "/v1/tokens", json={"name": "t", "scopes": ["user"], "user_id": absent}
    )
    assert (reply.status_code, reply.json()["code"]) == (404, "user_not_found")


async def test_a_nul_in_an_id_is_refused(user: User) -> None:
    reply = await user.http.post("/v1/jobs", json={"workflow_id": "\x00"})
    assert reply.status_code == 422
    assert (await user.http.get("/v1/jobs?workflow_id=%00")).json()["jobs"] == []


@pytest.mark.parametrize("size", ["0", "1001", "-1", "x"])
async def test_a_page_size_outside_its_bounds_is_refused(user: User, size: str) -> None:
    assert (await user.http.get(f"/v1/workflows?page_size={size}")).status_code == 422


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"name": NaN}', b"\xff", b'"\\ud800"', b"[" * 100_000],
    ids=["cut off", "NaN", "not UTF-8", "lone surrogate", "endless"],
)
async def test_a_body_that_is_not_json_is_refused(user: User, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    reply = await user.http.post("/v1/workflows", content=body, headers=headers)
    assert reply.status_code == 422, reply.text


async def test_json_that_is_nested_too_deeply_is_refused(user: User) -> None:
    deep = b'{"name": "x", "graph": {"nodes": []}, "settings": {"a": ' + b"[" * 500 + b"]" * 500
    headers = {"Content-Type": "application/json"}
    reply = await user.http.post("/v1/workflows", content=deep + b"}}", headers=headers)
    assert reply.status_code == 422
    assert "deep" in reply.json()["detail"]


async def test_a_json_body_over_the_limit_is_413(start_service: Callable[..., Service]) -> None:
    service = start_service(max_json_bytes=10_000)
    async with service.client() as http:
        body = {**WORKFLOW, "description": "x" * 20_000}
        assert (await http.post("/v1/workflows", json=body)).status_code == 413

        async def chunks() -> Any:
            for _ in range(100):
                yield b" " * 1000

        reply = await http.post("/v1/workflows", content=chunks())
        assert reply.status_code == 413
        assert (await http.get("/v1/workflows")).json()["workflows"] == []


async def test_unknown_paths_and_methods_are_problems(user: User) -> None:
    assert (await user.http.get("/v1/nothing")).json()["code"] == "not_found"
    reply = await user.http.delete("/v1/me")
    assert (reply.status_code, reply.json()["code"]) == (405, "method_not_allowed")


async def test_a_repeated_key_creates_one_object_and_returns_its_current_state(user: User) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await user.http.post("/v1/workflows", json=WORKFLOW, headers=headers)
    assert "idempotent-replay" not in first.headers
    made = first.json()["id"]
    await user.http.patch(f"/v1/workflows/{made}", json={"name": "renamed"})
    again = await user.http.post("/v1/workflows", json=WORKFLOW, headers=headers)
    assert again.status_code == 201
    assert again.headers["idempotent-replay"] == "true"
    assert (again.json()["id"], again.json()["name"]) == (made, "renamed")
    assert len((await user.http.get("/v1/workflows")).json()["workflows"]) == 1


async def test_the_same_key_with_another_body_is_refused(user: User) -> None:
    headers = {"Idempotency-Key": "k2"}
    await user.http.post("/v1/workflows", json=WORKFLOW, headers=headers)
    other_body = {**WORKFLOW, "name": "v"}
    reply = await user.http.post("/v1/workflows", json=other_body, headers=headers)
    assert (reply.status_code, reply.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_failure_does_not_use_up_the_key(user: User) -> None:
    headers = {"Idempotency-Key": "k3"}
    bad = await user.http.post("/v1/workflows", json={"name": "w"}, headers=headers)
    assert bad.status_code == 422
    cycle = [{"source": "1", "sourceHandle": "o", "target": "1", "targetHandle": "i"}]
    graph = {"nodes": [{"id": "1", "type": "t"}], "edges": cycle}
    body = {"name": "w", "graph": graph}
    assert (await user.http.post("/v1/workflows", json=body, headers=headers)).status_code == 422
    good = await user.http.post("/v1/workflows", json=WORKFLOW, headers=headers)
    assert good.status_code == 201


async def test_the_same_key_of_two_users_creates_two_objects(user: User, other: User) -> None:
    headers = {"Idempotency-Key": "k4"}
    replies = [
        await each.http.post("/v1/workflows", json=WORKFLOW, headers=headers)
        for each in (user, other)
    ]
    assert replies[0].json()["id"] != replies[1].json()["id"]


async def test_twenty_concurrent_requests_with_one_key_create_one_object(user: User) -> None:
    async def post() -> httpx.Response:
        return await user.http.post(
            "/v1/workflows", json=WORKFLOW, headers={"Idempotency-Key": "k5"}
        )

    replies = await asyncio.gather(*(post() for _ in range(20)))
    assert {reply.status_code for reply in replies} <= {201, 409}
    assert {r.json()["code"] for r in replies if r.status_code == 409} <= {"idempotency_in_flight"}
    assert len({r.json()["id"] for r in replies if r.status_code == 201}) == 1
    assert len((await user.http.get("/v1/workflows")).json()["workflows"]) == 1


async def test_health_readiness_and_metrics_need_no_token(service: Service) -> None:
    async with httpx.AsyncClient(base_url=service.url, timeout=WAIT_S) as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        ready = (await http.get("/readyz")).json()
        assert ready == {
            "status": "ok",
            "database": "ok",
            "database_schema": "ok",
            "storage": "ok",
        }
        metrics = (await http.get("/metrics")).text
        assert 'context_http_request_seconds_count{method="GET",route="/readyz",status="200"}' in (
            metrics
        )
        assert (await http.get("/openapi.json")).json()["openapi"].startswith("3.")
        assert (await http.get("/docs")).status_code == 200


async def test_readiness_reports_an_unknown_schema_revision(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    async with httpx.AsyncClient(base_url=service.url, timeout=WAIT_S) as http:
        db = service.db
        await service.run(db.pool.execute("update alembic_version set version_num = 'future'"))
        reply = await http.get("/readyz")
        assert reply.status_code == 503
        assert "newer" in reply.json()["detail"]
