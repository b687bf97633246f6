"""Tests of the quotas of users."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest_asyncio

from app.assets import quota_queries
from app.database.engine import Database
from app.database.statement import Connection
from tests.support.assets import form, journal, keys, make_asset, names
from tests.support.services import Service, User, eventually
from tests.support.sweeps import assert_nothing_lost_or_stray, execute, sweep

MIB = 1024 * 1024
QUOTA = 2 * MIB


@pytest_asyncio.fixture
async def limited(service: Service) -> AsyncIterator[User]:
    """User with a quota of their own."""
    async with await service.new_user() as made:
        await execute(
            service.settings, "update users set quota_bytes = $2 where id = $1", made.id, QUOTA
        )
        yield made


def assert_refused(reply: httpx.Response) -> None:
    assert (reply.status_code, reply.json()["code"]) == (403, "quota_exceeded")
    assert str(QUOTA) in reply.json()["detail"]


async def test_a_declared_size_is_refused_before_anything_is_sent(
    service: Service, limited: User
) -> None:
    made = await make_asset(limited, b"x")
    for request in (
        limited.http.post(
            "/v1/assets/uploads", json={"name": "a", "content_type": "a/b", "size": QUOTA}
        ),
        limited.http.post("/v1/assets", **form(bytes(QUOTA + MIB))),
        limited.http.put(f"/v1/assets/{made.id}/content", content=bytes(QUOTA + 1)),
    ):
        assert_refused(await request)
    assert await names(limited) == [made.name]
    assert await journal(service) == []


async def test_a_stream_that_exceeds_the_quota_leaves_nothing(
    service: Service, limited: User
) -> None:
    made = await make_asset(limited, b"before")
    before = await keys(service)

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(MIB)

    assert_refused(await limited.http.put(f"/v1/assets/{made.id}/content", content=stream()))
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'

    async def parts() -> AsyncIterator[bytes]:
        yield head
        async for piece in stream():
            yield piece

    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert_refused(await limited.http.post("/v1/assets", content=parts(), headers=kind))
    assert await keys(service) == before
    assert await journal(service) == []
    assert (await limited.http.get(f"/v1/assets/{made.id}/content")).content == b"before"


async def test_a_quota_can_be_used_to_its_last_byte_and_again_after_a_deletion(
    limited: User,
) -> None:
    whole = await make_asset(limited, bytes(QUOTA))
    assert_refused(await limited.http.post("/v1/assets", **form(b"x")))
    same = await limited.http.put(f"/v1/assets/{whole.id}/content", content=bytes(QUOTA))
    assert same.status_code == 200
    smaller = await limited.http.put(f"/v1/assets/{whole.id}/content", content=bytes(QUOTA - 1))
    assert smaller.status_code == 200
    await make_asset(limited, b"x")
    assert (await limited.http.delete(f"/v1/assets/{whole.id}")).status_code == 204
    await make_asset(limited, bytes(QUOTA - 1))


async def test_reserved_bytes_count_and_temporary_ones_do_not(limited: User) -> None:
    wanted = {"name": "a", "content_type": "a/b", "size": QUOTA - 5}
    reserved = await limited.http.post("/v1/assets/uploads", json=wanted)
    assert reserved.status_code == 201
    assert_refused(await limited.http.post("/v1/assets", **form(b"123456")))
    assert (await limited.http.post("/v1/temp", content=bytes(QUOTA))).status_code == 201
    await make_asset(limited, b"12345")
    aborted = await limited.http.delete(f"/v1/assets/{reserved.json()['asset']['id']}/upload")
    assert aborted.status_code == 204
    await make_asset(limited, bytes(QUOTA - 5))


async def test_concurrent_uploads_do_not_exceed_the_quota_together(limited: User) -> None:
    size = QUOTA // 8
    replies = await asyncio.gather(
        *(limited.http.post("/v1/assets", **form(bytes(size))) for _ in range(24))
    )
    stored = [reply for reply in replies if reply.status_code == 201]
    assert len(stored) == 8
    for reply in replies:
        if reply not in stored:
            assert_refused(reply)


async def test_the_count_is_correct_after_concurrent_changes(service: Service, user: User) -> None:
    async def live(number: int) -> None:
        made = await make_asset(user, bytes(number * 10))
        path = f"/v1/assets/{made.id}"
        assert (await user.http.put(f"{path}/content", content=bytes(number))).status_code == 200
        if number % 2:
            assert (await user.http.delete(path)).status_code == 204

    await asyncio.gather(*(live(number) for number in range(40)))
    await assert_nothing_lost_or_stray(service.settings)


async def test_rows_of_several_users_in_one_statement_are_counted_for_each_user(
    service: Service, user: User, other: User
) -> None:
    db = Database(service.settings.database_url or "", 2)
    await db.open()
    try:
        await make_asset(user, b"12345")
        async with db.transaction() as on:
            await on.execute(_MANY, [user.id, other.id], 500)
        assert await _counted(db, user, other) == [5 + 500, 500]
        async with db.pool.acquire() as on:
            undone = on.transaction()
            await undone.start()
            await on.execute("delete from assets where name = 'one of many'")
            await on.execute("update assets set size = 7 where user_id = $1", user.id)
            assert await _counted(on, user, other) == [7, 0]
            await undone.rollback()
        assert await _counted(db, user, other) == [5 + 500, 500]
        async with db.transaction() as on:
            await on.execute("update assets set size = 3 where name = 'one of many'")
            assert await _counted(on, user, other) == [5 + 1500, 1500]
            await on.execute("delete from assets where name = 'one of many'")
        assert await _counted(db, user, other) == [5, 0]
    finally:
        await db.close()
    await assert_nothing_lost_or_stray(service.settings)


_MANY = """
insert into assets (id, user_id, name, search_name, content_type, size, status, metadata)
select md5(u || n), u, 'one of many', 'one of many', 'a/b', 1, 'ready', '{}'
from unnest($1::text[]) as u, generate_series(1, $2::int) as n"""


async def _counted(on: Database | Connection, *users: User) -> list[int]:
    source = on.pool if isinstance(on, Database) else on
    return [await quota_queries.used(source, user.id) for user in users]


async def test_a_wrong_count_is_corrected_by_a_sweep(service: Service, user: User) -> None:
    await make_asset(user, b"12345")
    for statement in (
        "update asset_bytes set bytes = 1000 where user_id = $1",
        "delete from asset_bytes where user_id = $1",
    ):
        await execute(service.settings, statement, user.id)
        found = {"wrong byte counts of users": 1}
        assert await sweep(service.settings, dry=True) == found
        assert await sweep(service.settings) == found
        await assert_nothing_lost_or_stray(service.settings)


async def test_the_setting_applies_to_users_without_a_quota_of_their_own(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(user_quota_bytes=10)
    async with await service.new_user() as small, await service.new_user() as large:
        await execute(
            service.settings, "update users set quota_bytes = 100 where id = $1", large.id
        )
        refused = await small.http.post("/v1/assets", **form(bytes(50)))
        assert refused.json()["code"] == "quota_exceeded"
        await make_asset(large, bytes(50))


async def test_the_number_of_open_uploads_is_limited(
    service: Service, start_service: Callable[..., Service]
) -> None:
    small = start_service(like=service, max_open_uploads_per_user=2)
    draft = {"name": "a", "content_type": "a/b", "size": 5}
    async with await small.new_user() as user:
        reserved = []
        for _ in range(2):
            reply = await user.http.post("/v1/assets/uploads", json=draft)
            assert reply.status_code == 201
            reserved.append(reply.json()["asset"]["id"])

        async def is_refused() -> bool:
            reply = await user.http.post("/v1/assets/uploads", json=draft)
            if reply.status_code == 201:  # counts are up to a second old
                reserved.append(reply.json()["asset"]["id"])
                return False
            assert (reply.status_code, reply.json()["code"]) == (403, "quota_exceeded")
            return True

        await eventually(is_refused)
        for asset_id in reserved:
            await user.http.delete(f"/v1/assets/{asset_id}/upload")

        async def is_accepted() -> bool:
            return (await user.http.post("/v1/assets/uploads", json=draft)).status_code == 201

        await eventually(is_accepted)
