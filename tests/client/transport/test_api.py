from __future__ import annotations

import time
from typing import Any

import httpx
import httpx2
import pytest

import processing_context as pc
from processing_context import ProcessingContext
from processing_context._transport import retry
from tests.support.loopback import DROP, Answer, Asked, Loopback, in_turn, problem, reply
from tests.support.services import free_port

ASSET: dict[str, Any] = {
    "id": "a" * 32, "user_id": "u", "workflow_id": None, "job_id": None, "node_id": None,
    "parent_id": None, "name": "n", "content_type": "text/plain", "size": 2, "sha256": None,
    "status": "ready", "metadata": {}, "duration": None, "width": None, "height": None,
    "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    "get_url": None, "thumb_url": None,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_S", 0.01)


def context(server: Loopback, **options: object) -> ProcessingContext:
    return ProcessingContext(base_url=server.url, token="ctx_t", user_id="u", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, pc.ValidationError),
        (401, pc.AuthenticationError),
        (403, pc.PermissionDeniedError),
        (404, pc.NotFoundError),
        (409, pc.ConflictError),
        (410, pc.NotFoundError),
        (412, pc.ConflictError),
        (413, pc.TooLargeError),
        (422, pc.ValidationError),
        (429, pc.RateLimitedError),
        (500, pc.APIError),
        (502, pc.UnavailableError),
        (503, pc.UnavailableError),
        (504, pc.UnavailableError),
    ],
)
async def test_each_status_has_its_error(status: int, error: type[pc.APIError]) -> None:
    with Loopback(in_turn(problem(status, "some_code"))) as server:
        async with context(server, retries=1) as ctx:
            with pytest.raises(error) as caught:
                await ctx.find_asset("x")
    assert type(caught.value) is error
    assert caught.value.status == status
    assert caught.value.code == "some_code"
    assert caught.value.detail == "it is some_code"
    assert caught.value.request_id == "req-1"
    assert "it is some_code" in str(caught.value)


async def test_an_answer_of_a_proxy_in_between_is_an_error_too() -> None:
    page = Answer(403, b"<html>Blocked</html>", {"X-Request-Id": "req-9"})
    with Loopback(in_turn(page)) as server:
        async with context(server) as ctx:
            with pytest.raises(pc.PermissionDeniedError, match="Blocked") as caught:
                await ctx.find_asset("x")
    assert caught.value.request_id == "req-9"


@pytest.mark.parametrize(
    "trouble",
    [DROP, problem(429, "slow_down"), problem(502, "bad_gateway"), problem(503, "away"),
     problem(504, "late"), problem(409, "idempotency_in_flight")],
)  # fmt: skip
async def test_a_create_is_repeated_with_the_same_key(trouble: Answer) -> None:
    with Loopback(in_turn(trouble, trouble, reply(ASSET, 201))) as server:
        async with context(server) as ctx:
            await ctx.create_asset("n", "text/plain", b"hi")
            await ctx.create_asset("n", "text/plain", b"hi")
    keys = [asked.headers["idempotency-key"] for asked in server.asked]
    assert len(keys) == 4
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert all(b"hi" in asked.body for asked in server.asked)


@pytest.mark.parametrize(
    "refusal", [problem(409, "conflict"), problem(422, "invalid"), problem(502, "provider_error")]
)
async def test_what_repeating_cannot_mend_is_not_repeated(refusal: Answer) -> None:
    with Loopback(in_turn(refusal)) as server:
        async with context(server) as ctx:
            with pytest.raises(pc.APIError):
                await ctx.find_asset("x")
    assert len(server.asked) == 1


async def test_retries_end() -> None:
    with Loopback(in_turn(problem(503, "away"))) as server:
        async with context(server, retries=2) as ctx:
            with pytest.raises(pc.UnavailableError):
                await ctx.find_asset("x")
    assert len(server.asked) == 3


async def test_retry_after_is_waited_for() -> None:
    with Loopback(in_turn(problem(503, "away", Retry_After="1"), reply(ASSET))) as server:
        async with context(server) as ctx:
            begun = time.monotonic()
            await ctx.find_asset("x")
    assert time.monotonic() - begun >= 1.0


def test_retry_after_is_bounded_and_may_be_a_date_or_nonsense() -> None:
    backoff = retry.Retry(10)
    assert 60 <= (backoff.next_delay_s("86400") or 0) < 61
    assert (backoff.next_delay_s("Wed, 21 Oct 2015 07:28:00 GMT") or 0) < 1
    assert (backoff.next_delay_s("soon") or 0) < 1


async def test_a_service_that_is_not_there_is_a_connection_error() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with ProcessingContext(base_url=url, token="ctx_secret", user_id="u", retries=1) as ctx:
        with pytest.raises(pc.ConnectionFailedError, match=url) as caught:
            await ctx.find_asset("x")
    assert "ctx_secret" not in str(caught.value)


async def test_one_connection_serves_many_calls() -> None:
    with Loopback(in_turn(reply(ASSET))) as server:
        async with context(server) as ctx:
            for _ in range(5):
                await ctx.find_asset("x")
    assert server.connections < len(server.asked)


GIVEN = pytest.mark.parametrize("kind", [httpx2.AsyncClient, httpx.AsyncClient])


@GIVEN
async def test_a_given_client_is_used_and_left_open(kind: type[httpx2.AsyncClient]) -> None:
    async with kind(headers={"X-Mine": "1"}) as client:
        with Loopback(in_turn(reply(ASSET))) as server:
            async with context(server, http_client=client) as ctx:
                await ctx.find_asset("x")
            assert server.asked[0].headers["x-mine"] == "1"
            assert server.asked[0].headers["authorization"] == "Bearer ctx_t"
        assert not client.is_closed


@GIVEN
async def test_a_given_client_is_retried_and_follows_redirects(
    kind: type[httpx2.AsyncClient],
) -> None:
    moved = Answer(302, headers={"Location": "/to"})
    answers = in_turn(DROP, problem(503, "away"), reply(ASSET), moved, Answer(200, b"body"), DROP)
    async with kind() as client:
        with Loopback(answers) as server:
            async with context(server, http_client=client, retries=2) as ctx:
                assert (await ctx.find_asset("x")).name == "n"
                assert await ctx.http_get(server.url) == b"body"
                with pytest.raises(pc.ConnectionFailedError, match=server.url):
                    await ctx.find_asset("x")
    assert len(server.asked) == 8


@GIVEN
async def test_what_a_given_client_cannot_do_is_not_repeated(
    kind: type[httpx2.AsyncClient],
) -> None:
    with Loopback(in_turn(Answer(302, headers={"Location": "/again"}))) as server:
        async with (
            kind(max_redirects=3) as client,
            context(server, http_client=client) as ctx,
        ):
            with pytest.raises(pc.ConnectionFailedError):
                await ctx.http_get(server.url)
    assert len(server.asked) == 4


async def test_the_user_is_asked_for_on_entering() -> None:
    me = {"user": {"id": "u1", "name": "n", "created_at": "2026-01-01T00:00:00Z"}, "scopes": []}
    with Loopback(in_turn(reply(me))) as server:
        async with ProcessingContext(base_url=server.url, token="t") as ctx:
            assert ctx.user_id == "u1"
        async with ProcessingContext(base_url=server.url, token="t", user_id="given") as ctx:
            assert ctx.user_id == "given"
    assert [asked.path for asked in server.asked] == ["/v1/me"]


async def test_entering_without_a_service_is_fine() -> None:
    async with ProcessingContext() as ctx:
        ctx.set("k", 1)


async def test_an_id_cannot_reach_another_route() -> None:
    with Loopback(in_turn(problem(404, "asset_not_found"))) as server:
        async with context(server) as ctx:
            with pytest.raises(pc.NotFoundError):
                await ctx.find_asset("../jobs?x=1")
            with pytest.raises(ValueError, match="asset_id"):
                await ctx.find_asset("")
    assert [asked.path for asked in server.asked] == ["/v1/assets/..%2Fjobs%3Fx%3D1"]


async def test_http_get_follows_redirects_and_carries_no_token() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path == "/from":
            return Answer(302, headers={"Location": "/to"})
        return Answer(200, b"body") if asked.path == "/to" else Answer(404)

    with Loopback(answer) as server:
        async with context(server) as ctx:
            assert await ctx.http_get(f"{server.url}/from", headers={"X-H": "1"}) == b"body"
            with pytest.raises(pc.HTTPStatusError) as caught:
                await ctx.http_get(f"{server.url}/none?secret=1")
    assert caught.value.status == 404
    assert "secret" not in str(caught.value)
    assert all("authorization" not in asked.headers for asked in server.asked)
    assert server.asked[1].headers["x-h"] == "1"


async def test_pages_are_walked_by_their_cursors() -> None:
    def answer(asked: Asked) -> Answer:
        following = None if "cursor=c1" in asked.path else "c1"
        return reply({"next": following, "assets": [ASSET]})

    with Loopback(answer) as server:
        async with context(server) as ctx:
            found = [asset.id async for asset in ctx.iter_assets(recursive=True, q=None)]
    assert len(found) == 2
    assert [asked.path for asked in server.asked] == [
        "/v1/assets?recursive=true",
        "/v1/assets?recursive=true&cursor=c1",
    ]


async def test_not_a_number_is_refused_before_it_is_sent() -> None:
    with Loopback(in_turn(reply(ASSET))) as server:
        async with context(server) as ctx:
            with pytest.raises(ValueError, match="JSON"):
                await ctx.create_asset("n", "a/b", b"x", metadata={"k": float("nan")})
    assert server.asked == []
