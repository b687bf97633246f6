"""Tests of deleted users: access ends immediately, their data are removed by the sweeper."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from app.users.bootstrap import open_database
from tests.support.assets import keys, make_asset, make_folder
from tests.support.jobs import HandWorker, owner, refusal, start, status_is, worker_of
from tests.support.services import Service, User, eventually
from tests.support.sweeps import assert_nothing_lost_or_stray, sweep

TABLES = (
    "assets", "temp_files", "workflows", "jobs", "workers", "tokens", "asset_bytes",
    "idempotency_keys", "webhook_deliveries",
)  # fmt: skip


async def delete(service: Service, user: User) -> None:
    """Delete a user."""
    async with service.client() as admin:
        assert (await admin.delete(f"/v1/users/{user.id}")).status_code == 204


async def rows_of(service: Service, user: User) -> dict[str, int]:
    """Return the number of a user's rows by table, without tables that have no such rows."""
    counts = {}
    async with open_database(service.settings) as db:
        for table in TABLES:
            count = await db.pool.fetchval(
                f"select count(*) from {table} where user_id = $1", user.id
            )
            counts[table] = count
        counts["users"] = await db.pool.fetchval(
            "select count(*) from users where id = $1", user.id
        )
    return {table: count for table, count in counts.items() if count}


async def fill(user: User) -> str:
    """Create objects of all kinds for a user; return the id of a running job."""
    deep = await make_folder(user)
    for _ in range(3):
        deep = await make_folder(user, parent_id=deep.id)
        await make_asset(user, b"bytes", parent_id=deep.id)
    body = {"name": "w", "graph": {"nodes": []}}
    made = await user.http.post("/v1/workflows", json=body, headers={"Idempotency-Key": "k"})
    assert made.status_code == 201
    assert (await user.http.post("/v1/temp", content=b"x")).status_code == 201
    told = await start(user, webhook={"url": "http://nowhere.invalid/"})
    assert (await user.http.post(f"/v1/jobs/{told['id']}/cancel")).is_success
    await start(user)
    await start(user)
    held = await (await worker_of(user)).take()
    await held.post({"type": "log", "level": "info", "message": "m"})
    return held.id


async def test_all_rows_of_a_deleted_user_are_removed_and_then_the_user(service: Service) -> None:
    async with owner(service) as user, owner(service) as other:
        await fill(user)
        kept = await make_asset(other, b"kept")
        before = await rows_of(service, other)
        assert set(await rows_of(service, user)) == {*TABLES, "users"}
        await delete(service, user)
        assert (await user.http.get("/v1/me")).status_code == 401
        assert await sweep(service.settings, sweep_grace_s=3600) == {}
        assert await sweep(service.settings, dry=True) == {"deleted users": 1}
        assert await sweep(service.settings) == {
            "deleted users": 1,
            "jobs of deleted users": 3,
            "temporary files of deleted users": 1,
            "assets of deleted users": 7,
            "workflows of deleted users": 1,
            "idempotency keys of deleted users": 1,
        }
        assert await rows_of(service, user) == {}
        assert await rows_of(service, other) == before
        assert {key.partition("/")[0] for key in await keys(service)} == {kept.id}
        assert await keys(service, "temp") == set()
        async with open_database(service.settings) as db:
            for table in ("job_events", "job_nodes"):
                left = f"select count(*) from {table} where job_id not in (select id from jobs)"
                assert await db.pool.fetchval(left) == 0
    await assert_nothing_lost_or_stray(service.settings)


async def test_an_upload_of_a_user_deleted_meanwhile_is_refused_and_leaves_nothing(
    service: Service, user: User
) -> None:
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        while (piece := await pieces.get()) is not None:
            yield piece
        yield b"\r\n--b--\r\n"

    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    upload = asyncio.create_task(user.http.post("/v1/assets", content=body(), headers=kind))
    for _ in range(20):
        pieces.put_nowait(bytes(1024 * 1024))

    async def has_begun() -> bool:
        return any(key.startswith("unfinished") for key in await keys(service))

    await eventually(has_begun)
    await delete(service, user)
    assert await sweep(service.settings) == {"deleted users": 1}
    pieces.put_nowait(None)
    assert (await upload).status_code == 401
    assert await sweep(service.settings) == {}
    await assert_nothing_lost_or_stray(service.settings)


async def test_a_deleted_user_loses_the_jobs_of_others_and_is_removed(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    fleet = await service.new_user(scopes=("worker", "fleet"))
    async with fleet, await service.new_user() as other:
        await start(other)
        worker: HandWorker = await worker_of(fleet)
        held = await worker.take()
        await delete(service, fleet)
        assert refusal(await held.heartbeat()) == (409, "lease_lost")
        await status_is(other, held.id, "queued")
        assert await sweep(service.settings) == {"deleted users": 1}
        assert await rows_of(service, fleet) == {}
