"""Tests of the quota for temporary files, and of the lifetime of files of jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import pytest_asyncio

from app.temp.quota import MAX_UNDECLARED
from tests.support.assets import keys, put
from tests.support.jobs import owner, start, worker_of
from tests.support.services import Service, User, eventually

QUOTA = 3_000_000
JOB_TTL_S = 1000


@pytest.fixture
def strict(start_service: Callable[..., Service]) -> Service:
    """A service with a quota for temporary files."""
    return start_service(temp_quota_bytes=QUOTA, job_temp_ttl_s=JOB_TTL_S)


@pytest_asyncio.fixture
async def limited(strict: Service) -> AsyncIterator[User]:
    """A user of this service."""
    async with await strict.new_user() as user:
        yield user


def assert_refused(reply: httpx.Response) -> None:
    assert (reply.status_code, reply.json()["code"]) == (403, "quota_exceeded")


async def test_temporary_bytes_are_limited_and_free_again_after_a_deletion(
    strict: Service, limited: User
) -> None:
    made = await limited.http.post("/v1/temp", content=bytes(QUOTA))
    assert made.status_code == 201
    assert_refused(await limited.http.post("/v1/temp", content=b"x"))
    assert_refused(await limited.http.post("/v1/temp/uploads", json={"size": 1}))
    assert (await limited.http.delete(f"/v1/temp/{made.json()['id']}")).status_code == 204
    assert (await limited.http.post("/v1/temp", content=bytes(QUOTA))).status_code == 201
    async with await strict.new_user() as other:
        assert (await other.http.post("/v1/temp", content=b"x")).status_code == 201


async def test_a_stream_that_exceeds_the_quota_leaves_nothing(
    strict: Service, limited: User
) -> None:
    async def stream() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield bytes(1_000_000)

    assert_refused(await limited.http.post("/v1/temp", content=stream()))
    assert await keys(strict, "temp") == set()


async def test_reserved_files_count_with_their_declared_or_stored_size(limited: User) -> None:
    declared = await limited.http.post("/v1/temp/uploads", json={"size": QUOTA - 1_000_000})
    assert declared.status_code == 201
    undeclared = (await limited.http.post("/v1/temp/uploads", json={})).json()
    assert (await put(undeclared["put_url"], bytes(1_000_000))).status_code == 200

    async def is_refused() -> bool:
        return (await limited.http.post("/v1/temp", content=b"x")).status_code == 403

    await eventually(is_refused)  # the bytes in storage are looked up at most once a second


async def test_files_of_undeclared_size_are_limited_in_number(limited: User) -> None:
    for _ in range(MAX_UNDECLARED):
        assert (await limited.http.post("/v1/temp/uploads", json={})).status_code == 201
    assert_refused(await limited.http.post("/v1/temp/uploads", json={}))
    assert (await limited.http.post("/v1/temp/uploads", json={"size": 1})).status_code == 201


async def test_a_file_of_a_job_can_be_read_until_some_time_after_the_end_of_the_job(
    strict: Service,
) -> None:
    """The expiry in the row passes while the job is running."""

    async def execute(statement: str) -> None:
        await strict.run(strict.db.pool.execute(statement))

    expire = "update temp_files set expires_at = now() - interval '1 s'"
    async with owner(strict) as user:
        job = await start(user)
        held = await (await worker_of(user)).take()
        async with strict.client(held.token) as node:
            made = (await node.post("/v1/temp", content=b"x")).json()
        path = f"/v1/temp/{made['id']}"
        await execute(expire)
        assert (await user.http.get(path)).status_code == 200
        await held.complete()
        await execute(expire)
        assert (await user.http.get(f"{path}/content")).content == b"x"
        await execute(expire)
        urls = await user.http.post("/v1/urls", json={"temp_ids": [made["id"]]})
        assert set(urls.json()["urls"]) == {made["id"]}
        await execute(f"update jobs set finished_at = now() - interval '{JOB_TTL_S} s'")
        await execute(expire)
        for gone in (path, f"{path}/content", f"/v1/storage/temp/{made['id']}"):
            reply = await user.http.get(gone)
            assert (reply.status_code, reply.json()["code"]) == (410, "temp_expired")
        assert (await user.http.delete(f"/v1/jobs/{job['id']}")).status_code == 204
