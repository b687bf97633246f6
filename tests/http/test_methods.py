"""HEAD, Allow, trailing slashes and the Content-Type of JSON, on all routes."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from app.domains import DOMAINS
from app.registration import access_table, secured_routes
from tests.support.jobs import start
from tests.support.raw_http import head, raw
from tests.support.services import WAIT_S, Service, User

ROUTES = access_table(secured_routes(DOMAINS))
READ = sorted(path for method, path in ROUTES if method == "GET")
PAGES = ("/docs", "/openapi.json", "/asyncapi.yaml", "/docs/static/swagger-ui.css")
ID = "0" * 32


def _methods(path: str) -> set[str]:
    methods = {method for method, each in ROUTES if each == path}
    return methods | {"HEAD"} if "GET" in methods else methods


def _with_ids(path: str) -> str:
    return "/".join(
        ("1" if part == "{version}" else ID) if part.startswith("{") else part
        for part in path.split("/")
    )


@pytest.mark.parametrize("path", [*READ, *PAGES])
async def test_head_answers_like_get_without_the_body(admin: httpx.AsyncClient, path: str) -> None:
    got = await admin.get(_with_ids(path))
    head = await admin.head(_with_ids(path))
    assert head.status_code == got.status_code
    assert head.content == b""
    assert head.headers["content-type"] == got.headers["content-type"]
    if path not in ("/metrics", "/v1/workers"):  # their length changes with each request
        # Only the length of the request id differs in problems, and it does not.
        assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
async def test_head_of_a_stream_of_events_ends_at_once(user: User, accept: str) -> None:
    job = (await start(user))["id"]
    async with asyncio.timeout(WAIT_S):
        reply = await user.http.head(f"/v1/jobs/{job}/events", headers={"Accept": accept})
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith(accept)
    assert reply.headers["cache-control"] == "no-store"


async def test_head_of_a_long_poll_does_not_wait(user: User) -> None:
    job = (await start(user))["id"]
    async with asyncio.timeout(WAIT_S):
        replies = [
            await user.http.head(f"/v1/jobs/{job}/events?after=1&wait=60") for _ in range(10)
        ]
    assert {reply.status_code for reply in replies} == {200}


async def test_a_connection_goes_on_after_head(service: Service, user: User) -> None:
    job = (await start(user))["id"]
    token = f"Bearer {user.token}"
    async with raw(service.url) as connection:
        for path, accept in (
            (f"/v1/jobs/{job}/events", "text/event-stream"),
            (f"/v1/jobs/{job}", "*/*"),
            ("/docs", "*/*"),
        ):
            await connection.send(head("HEAD", path, Authorization=token, Accept=accept))
            assert (await connection.reply(has_body=False)).status == 200
        assert (await connection.get()).status == 200


async def test_a_redirect_of_head_is_signed_for_head(user: User) -> None:
    content = b"x" * 5000
    asset = (await user.http.post("/v1/assets", files={"file": ("v.mp4", content)})).json()
    temp = (await user.http.post("/v1/temp?ext=bin", content=content)).json()
    async with httpx.AsyncClient(timeout=WAIT_S) as storage:
        for path in (
            f"/v1/assets/{asset['id']}/content?redirect=true",
            f"/v1/storage/assets/{asset['id']}.mp4",
            f"/v1/storage/temp/{temp['id']}",
        ):
            for method in ("GET", "HEAD"):
                redirect = await user.http.request(method, path)
                assert redirect.status_code == 307
                reply = await storage.request(method, redirect.headers["location"])
                assert (reply.status_code, reply.headers["content-length"]) == (200, "5000"), path


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
async def test_allow_names_every_method_of_a_path(admin: httpx.AsyncClient, path: str) -> None:
    others = [each for _, each in ROUTES if each != path and _could_be(each, _with_ids(path))]
    expected = set.union(_methods(path), *map(_methods, others))
    reply = await admin.request("TRACE", _with_ids(path))
    assert (reply.status_code, reply.json()["code"]) == (405, "method_not_allowed")
    assert set(reply.headers["allow"].split(", ")) == expected


def _could_be(template: str, path: str) -> bool:
    parts, given = template.split("/"), path.split("/")
    return len(parts) == len(given) and all(
        part.startswith("{") or part == value for part, value in zip(parts, given, strict=True)
    )


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/asyncapi.yaml"])
async def test_allow_of_a_page(admin: httpx.AsyncClient, path: str) -> None:
    reply = await admin.post(path)
    assert (reply.status_code, reply.json()["code"]) == (405, "method_not_allowed")
    assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize(("method", "path"), sorted({*ROUTES, ("GET", "/docs")} - {("GET", "/")}))
async def test_a_slash_too_many_is_not_found_and_never_redirected(
    admin: httpx.AsyncClient, method: str, path: str
) -> None:
    reply = await admin.request(method, _with_ids(path) + "/", headers={"Host": "app.example"})
    assert reply.status_code == 404
    assert "location" not in reply.headers


async def test_json_without_its_content_type_is_an_unsupported_media_type(user: User) -> None:
    body = b'{"name": "w", "graph": {"nodes": []}}'
    for headers in (
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=b"},
        {"Content-Type": "application/jsonx"},
    ):
        reply = await user.http.post("/v1/workflows", content=body, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (415, "unsupported_media_type")
    assert (await user.http.get("/v1/workflows")).json()["workflows"] == []


async def test_the_media_type_is_checked_after_the_token_and_the_object(
    service: Service, user: User
) -> None:
    missing = await user.http.patch(f"/v1/workflows/{ID}", content=b"{}")
    assert missing.status_code == 404
    assert ID in missing.json()["detail"]
    anonymous = service.client("ctx_wrong")
    async with anonymous as http:
        assert (await http.post("/v1/workflows", content=b"{}")).status_code == 401
    assert (await user.http.post("/v1/users", content=b"{}")).status_code == 403


async def test_a_body_that_may_be_omitted_needs_no_content_type(user: User) -> None:
    reply = await user.http.post("/v1/temp/uploads")
    assert reply.status_code == 201, reply.text
    reply = await user.http.post("/v1/temp/uploads", content=b"{}")
    assert reply.status_code == 415


async def test_a_problem_about_depth_comes_after_the_missing_object(user: User) -> None:
    deep = b'{"settings": {"a": ' + b"[" * 300 + b"]" * 300 + b"}}"
    headers = {"Content-Type": "application/json"}
    reply = await user.http.patch(f"/v1/workflows/{ID}", content=deep, headers=headers)
    assert reply.status_code == 404
