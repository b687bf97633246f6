"""Rate limits: one bucket for each token, and one for all jobs of a user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from app.http.rate_limits import RateLimited, RateLimiter
from tests.support.jobs import held_job, open_socket, owner
from tests.support.services import Service, User

BURST = 10
SLOW = {"rate_limit_per_s": 0.01, "rate_limit_burst": BURST}


async def _statuses(http: httpx.AsyncClient, number: int) -> list[int]:
    return [(await http.get("/v1/me")).status_code for _ in range(number)]


async def test_a_token_over_its_rate_is_refused_until_the_time_in_retry_after(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(**SLOW)
    async with await service.new_user() as user, await service.new_user() as other:
        assert await _statuses(user.http, BURST) == [200] * BURST
        reply = await user.http.get("/v1/me")
        assert (reply.status_code, reply.json()["code"]) == (429, "rate_limited")
        assert 90 <= int(reply.headers["retry-after"]) <= 100
        assert reply.headers["content-type"] == "application/problem+json"
        assert await _statuses(other.http, 1) == [200]
        second = await service.new_token(user.id)
        async with service.client(second) as http:
            assert await _statuses(http, 1) == [200]


async def test_health_checks_have_no_rate(start_service: Callable[..., Service]) -> None:
    service = start_service(**SLOW)
    async with service.client() as http:
        replies = [await http.get("/healthz") for _ in range(2 * BURST)]
    assert Counter(reply.status_code for reply in replies) == {200: 2 * BURST}


async def test_the_jobs_of_a_user_share_one_bucket(start_service: Callable[..., Service]) -> None:
    service = start_service(rate_limit_per_s=0.01, rate_limit_burst=30)
    async with owner(service) as user:
        first, second = await held_job(user), await held_job(user)
        statuses = []
        for job in (first, second) * 20:
            reply = await user.http.get("/v1/assets", headers=job.headers)
            statuses.append(reply.status_code)
        assert 0 < statuses.index(429) <= 30
        assert set(statuses[statuses.index(429) :]) == {429}
        assert await _statuses(user.http, 1) == [200]


async def test_ops_of_a_socket_count_as_requests(start_service: Callable[..., Service]) -> None:
    service = start_service(**SLOW)
    async with await service.new_user() as user, open_socket(service, user.token) as socket:
        for _ in range(BURST):
            await socket.send(op="ping")
            assert (await socket.receive())["type"] == "pong"
        await socket.send(op="ping", id="late")
        frame = await socket.receive()
        assert (frame["type"], frame["id"]) == ("problem", "late")
        assert frame["problem"]["code"] == "rate_limited"


async def test_without_a_rate_nothing_is_limited(start_service: Callable[..., Service]) -> None:
    service = start_service(rate_limit_per_s=0, rate_limit_burst=1)
    async with await service.new_user() as user:
        assert await _statuses(user.http, 5) == [200] * 5


def test_an_empty_bucket_is_remembered_among_many_others() -> None:
    limiter = RateLimiter(per_s=0.01, burst=1)
    limiter.take("spent")
    for number in range(30_000):
        limiter.take(str(number))
    with pytest.raises(RateLimited):
        limiter.take("spent")


async def test_a_rate_limited_request_is_not_executed(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(**SLOW)

    async def create(user: User) -> int:
        body = {"name": "w", "graph": {"nodes": []}}
        return (await user.http.post("/v1/workflows", json=body)).status_code

    async with await service.new_user() as user:
        statuses = [await create(user) for _ in range(BURST + 3)]
        assert statuses == [201] * BURST + [429] * 3
        async with service.client(await service.new_token(user.id)) as http:
            assert len((await http.get("/v1/workflows")).json()["workflows"]) == BURST
