"""Tests of users, tokens and their scopes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.support.services import Service, User, eventually


async def test_me_is_the_tokens_user(user: User) -> None:
    me = (await user.http.get("/v1/me")).json()
    assert (me["user"]["id"], me["scopes"]) == (user.id, ["user"])


@pytest.mark.parametrize(
    "authorization", [None, "Bearer", "Bearer nope", "Basic Zm9vOmJhcg==", "nope"]
)
async def test_a_missing_or_bad_token_is_401_before_any_other_error(
    service: Service, authorization: str | None
) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    async with httpx.AsyncClient(base_url=service.url, headers=headers) as http:
        for method, path in (("GET", "/v1/me"), ("POST", "/v1/workflows"), ("GET", "/v1/jobs/x")):
            reply = await http.request(method, path, content=b"{" if method == "POST" else None)
            assert reply.status_code == 401
            assert reply.headers["www-authenticate"] == "Bearer"
            assert reply.headers["content-type"] == "application/problem+json"
            assert reply.json()["code"] == "unauthorized"


async def test_an_expired_token_is_refused(service: Service, user: User) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    body = {"name": "t", "scopes": ["user"], "expires_at": later.isoformat()}
    made = (await user.http.post("/v1/tokens", json=body)).json()
    token = made["token"]
    pool = service.db.pool
    expire = "update tokens set expires_at = now() where id = $1"
    await service.run(pool.execute(expire, made["id"]))
    async with service.client(token) as http:
        assert (await http.get("/v1/me")).status_code == 401


async def test_a_cached_token_expires_on_time(user: User) -> None:
    for seconds in (1, 5, 30):  # on a slow machine a short-lived token expires before its first use
        expires_at = datetime.now(UTC) + timedelta(seconds=seconds)
        body = {"name": "t", "scopes": ["user"], "expires_at": expires_at.isoformat()}
        made = await user.http.post("/v1/tokens", json=body)
        headers = {"Authorization": f"Bearer {made.json()['token']}"}
        first = await user.http.get("/v1/me", headers=headers)
        if first.status_code == 200:
            break
    assert first.status_code == 200
    await asyncio.sleep((expires_at - datetime.now(UTC)).total_seconds() + 0.2)
    assert (await user.http.get("/v1/me", headers=headers)).status_code == 401


async def test_tokens_are_valid_subprotocols_and_are_returned_only_once(user: User) -> None:
    made = (await user.http.post("/v1/tokens", json={"name": "t", "scopes": ["user"]})).json()
    assert re.fullmatch(r"[A-Za-z0-9._-]{40,}", made["token"])
    listed = (await user.http.get("/v1/tokens")).json()["tokens"]
    assert made["id"] in [token["id"] for token in listed]
    assert not any("token" in token for token in listed)


async def test_a_revoked_token_stops_working_on_every_replica(
    service: Service, user: User, start_service: Callable[..., Service]
) -> None:
    replica = start_service(like=service)
    made = (await user.http.post("/v1/tokens", json={"name": "t", "scopes": ["user"]})).json()
    async with service.client(made["token"]) as here, replica.client(made["token"]) as there:
        assert (await here.get("/v1/me")).status_code == 200
        assert (await there.get("/v1/me")).status_code == 200
        assert (await user.http.delete(f"/v1/tokens/{made['id']}")).status_code == 204
        assert (await here.get("/v1/me")).status_code == 401
        await eventually(lambda: _is_locked_out(there))


async def _is_locked_out(http: httpx.AsyncClient) -> bool:
    return (await http.get("/v1/me")).status_code == 401


async def test_a_user_cannot_grant_admin_scopes_or_tokens_of_other_users(
    user: User, admin: httpx.AsyncClient
) -> None:
    for scope in ("worker", "fleet", "admin"):
        reply = await user.http.post("/v1/tokens", json={"name": "t", "scopes": [scope]})
        assert reply.status_code == 403
    me = (await admin.get("/v1/me")).json()["user"]["id"]
    reply = await user.http.post(
        "/v1/tokens", json={"name": "t", "scopes": ["user"], "user_id": me}
    )
    assert reply.status_code == 403


async def test_an_admin_without_the_user_scope_grants_and_revokes_tokens(
    service: Service, user: User, admin: httpx.AsyncClient
) -> None:
    me = (await admin.get("/v1/me")).json()["user"]["id"]
    async with service.client(await service.new_token(me, ["admin"])) as http:
        body = {"name": "t", "scopes": ["admin"], "user_id": user.id}
        made = await http.post("/v1/tokens", json=body)
        assert made.status_code == 201, made.text
        assert (await http.delete(f"/v1/tokens/{made.json()['id']}")).status_code == 204
        refused = await http.post("/v1/tokens", json={**body, "scopes": ["user"]})
        assert refused.status_code == 403
        assert (await http.get("/v1/jobs")).status_code == 403


async def test_only_an_admin_may_list_users(user: User, admin: httpx.AsyncClient) -> None:
    assert (await user.http.get("/v1/users")).status_code == 403
    assert (await user.http.post("/v1/users", json={"name": "x"})).status_code == 403
    assert user.id in [u["id"] for u in (await admin.get("/v1/users")).json()["users"]]


async def test_a_token_without_the_user_scope_may_not_read_data(
    service: Service, user: User
) -> None:
    token = await service.new_token(user.id, ["worker"])
    async with service.client(token) as http:
        reply = await http.get("/v1/workflows")
        assert (reply.status_code, reply.json()["code"]) == (403, "forbidden")
        assert (await http.get("/v1/me")).json()["scopes"] == ["worker"]


async def test_a_deleted_user_is_locked_out_at_once(
    service: Service, admin: httpx.AsyncClient
) -> None:
    async with await service.new_user() as gone:
        assert (await gone.http.get("/v1/me")).status_code == 200
        assert (await admin.delete(f"/v1/users/{gone.id}")).status_code == 204
        assert (await gone.http.get("/v1/me")).status_code == 401
    again = await admin.delete(f"/v1/users/{gone.id}")
    assert again.status_code == 404
    assert again.json()["detail"] == f"User {gone.id} was not found."


async def test_someone_elses_token_cannot_be_revoked(user: User, other: User) -> None:
    made = (await user.http.post("/v1/tokens", json={"name": "t", "scopes": ["user"]})).json()
    for token_id in (made["id"], "0000"):
        reply = await other.http.delete(f"/v1/tokens/{token_id}")
        assert reply.status_code == 404
        assert reply.json()["detail"] == f"Token {token_id} was not found."
