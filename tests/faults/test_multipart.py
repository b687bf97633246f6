"""Uploads in parts when something goes wrong: kills, storage away, several replicas; and memory."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from app.assets.checksums import Checksums
from app.settings import Settings
from tests.faults.test_uploads import fall_due, is_settled
from tests.support.assets import form, journal, keys, put
from tests.support.gates import Gate
from tests.support.multipart import (
    MIB,
    PART,
    SIZE,
    checked,
    complete,
    content_of,
    key_of,
    put_parts,
    reserve,
    state,
)
from tests.support.processes import TOKEN, forget_peak, peak_bytes, running_service
from tests.support.services import WAIT_S, Service, User, eventually, free_port

SHA256 = hashlib.sha256(b"".join(content_of(number) for number in range(1, 10))).hexdigest()


async def test_a_killed_service_costs_nothing(new_settings: Callable[..., Settings]) -> None:
    settings = new_settings(port=free_port())
    base_url = f"http://127.0.0.1:{settings.port}"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=WAIT_S) as http:
        user = User("", TOKEN, http)
        with running_service(settings) as process:
            asset_id, upload = await reserve(user, sha256=SHA256)
            await put_parts(upload, 1, 2, 9)
            process.kill()
            await put_parts(upload, 3)
        with running_service(settings) as process:
            standing = await state(user, asset_id)
            assert [part.part_number for part in standing.stored] == [1, 2, 3, 9]
            await put_parts(standing)
            completing = asyncio.create_task(complete(user, asset_id))
            await asyncio.sleep(0.01)
            process.kill()
            await asyncio.gather(completing, return_exceptions=True)
        with running_service(settings):
            assert (await complete(user, asset_id)).json()["status"] == "ready"


async def test_the_check_keeps_memory_flat(new_settings: Callable[..., Settings]) -> None:
    settings = new_settings(port=free_port())
    size = 16 * PART
    with running_service(settings) as process:
        base_url = f"http://127.0.0.1:{settings.port}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=WAIT_S) as http:
            user = User("", TOKEN, http)
            asset_id, upload = await reserve(user, size=size)
            digest = hashlib.sha256()
            for part in upload.parts:
                content = content_of(part.part_number, size)
                digest.update(content)
                assert (await put(part.url, content)).status_code == 200
            forget_peak(process.pid)
            before = peak_bytes(process.pid)
            assert (await complete(user, asset_id)).status_code == 200
            assert (await checked(user, asset_id))["sha256"] == digest.hexdigest()
            assert peak_bytes(process.pid) - before < 32 * MIB


async def test_a_check_that_was_killed_is_done_by_another_replica(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    async with await service.new_user() as user:
        asset_id, upload = await reserve(user, sha256="0" * 64)
        await put_parts(upload)
        await complete(user, asset_id)
        await checked(user, asset_id)
        pool = service.db.pool
        # The state after a kill during the read.
        claimed = """update assets set status = 'ready', sha256 = repeat('0', 64),
            sha256_due = now() + interval '1 h' where id = $1"""
        await service.run(pool.execute(claimed, asset_id))
        assert (await user.http.get(f"/v1/assets/{asset_id}")).json()["sha256"] is None
        other = start_service(like=service)
        service.stop()
        due = "update assets set sha256_due = now() where id = $1"
        await other.run(other.db.pool.execute(due, asset_id))
        async with other.client(user.token) as http:
            asset = await checked(User(user.id, user.token, http), asset_id)
        assert (asset["status"], asset["sha256"]) == ("corrupt", SHA256)


async def test_replicas_share_the_checks(start_service: Callable[..., Service]) -> None:
    service = start_service()
    replicas = [service, start_service(like=service)]
    async with await service.new_user() as user:
        for _ in range(3):
            asset_id, upload = await reserve(user)
            await put_parts(upload)
            assert (await complete(user, asset_id)).status_code == 200
        pool = service.db.pool
        later = "update assets set sha256 = null, sha256_due = now() + interval '1 h'"
        now = "update assets set sha256_due = now() returning id"
        await service.run(pool.execute(later))
        await service.run(pool.execute(now))
        checks = (replica.run(replica.get(Checksums).verify_due()) for replica in replicas)
        await asyncio.gather(*checks)
        hashes = "select array_agg(distinct sha256) from assets where sha256_due is null"

        async def is_done() -> bool:
            return bool(await service.run(pool.fetchval(hashes)) == [SHA256])

        await eventually(is_done)


@pytest.fixture
def gate(stack: Settings) -> Iterator[Gate]:
    """The way to storage."""
    assert stack.s3_endpoint
    with Gate(stack.s3_endpoint) as made:
        yield made


async def test_storage_away_is_told_and_parts_go_later(
    start_service: Callable[..., Service], gate: Gate, stack: Settings
) -> None:
    service = start_service(
        s3_endpoint=f"http://127.0.0.1:{gate.port}", s3_public_endpoint=stack.s3_endpoint
    )
    app = service
    async with await service.new_user() as user:
        asset_id, upload = await reserve(user)
        etags = await put_parts(upload)
        doomed, parts = await reserve(user)
        await put_parts(parts, 9)
        doomed_key = await key_of(service, doomed)
        gate.shut()
        body = {"name": "a", "content_type": "a/b", "size": SIZE}
        away: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", "/v1/assets/uploads", {"json": body}),
            ("GET", f"/v1/assets/{asset_id}/upload", {}),
            ("POST", f"/v1/assets/{asset_id}/complete", {}),
        ]
        for method, path, options in away:
            reply = await user.http.request(method, path, **options)
            assert (reply.status_code, reply.json()["code"]) == (503, "storage_unavailable")
            assert int(reply.headers["retry-after"]) > 0
        assert (await user.http.delete(f"/v1/assets/{doomed}/upload")).status_code == 204
        await fall_due(service)
        assert f"unfinished {doomed_key}" in await keys_at(service, stack)
        gate.open()

        async def is_caught_up() -> bool:
            await fall_due(service)
            return await is_settled(service)

        await eventually(is_caught_up)
        assert not {key for key in await keys_at(service, stack) if doomed in key}
        assert (await complete(user, asset_id, etags)).status_code == 200
        gate.shut()
        now = "update assets set sha256 = null, sha256_due = now() where id = $1"
        await service.run(app.db.pool.execute(now, asset_id))
        assert await service.run(app.get(Checksums).verify_due()) == 0
        gate.open()
        await service.run(app.db.pool.execute(now, asset_id))
        assert (await checked(user, asset_id))["sha256"] == SHA256


async def keys_at(service: Service, stack: Settings) -> set[str]:
    """Return what storage holds of a service's assets, past the gate."""
    found = {"s3_endpoint": stack.s3_endpoint}
    around = Service(**{**vars(service), "settings": service.settings.model_copy(update=found)})
    return await keys(around)


async def test_what_appears_of_a_deleted_upload_is_deleted_too(
    service: Service, user: User
) -> None:
    asset_id, upload = await reserve(user)
    await put_parts(upload)
    key = await key_of(service, asset_id)
    app = service
    bucket = app.storage.assets
    assert (await user.http.delete(f"/v1/assets/{asset_id}/upload")).status_code == 204

    async def appear() -> None:
        async with bucket.upload(key, "user") as late:
            await late.write(b"a completion that was under way")
        await bucket.uploads.begin(key)

    await service.run(appear())
    assert {key, f"unfinished {key}"} <= await keys(service)
    await fall_due(service, key)

    async def is_done() -> bool:
        return key not in {entry for entry, _ in await journal(service)}

    await eventually(is_done)
    assert not {key, f"unfinished {key}"} & await keys(service)


async def test_large_streams_wait_for_one_another(start_service: Callable[..., Service]) -> None:
    service = start_service(max_streamed_uploads=1)
    go_on = asyncio.Event()
    content = os.urandom(3 * MIB)

    async def slow() -> AsyncIterator[bytes]:
        yield content[: 2 * MIB]
        await go_on.wait()
        yield content[2 * MIB :]

    async with await service.new_user() as user, await service.new_user() as second:
        first = asyncio.create_task(user.http.post("/v1/temp", content=slow()))
        app = service

        async def is_taken() -> bool:
            return app.storage._streams._free == 0

        await eventually(is_taken)
        waiting = asyncio.create_task(second.http.post("/v1/assets", **form(content)))
        small = await second.http.post("/v1/assets", **form(content[:MIB]))
        assert small.status_code == 201
        await asyncio.sleep(0.3)
        assert not waiting.done()
        go_on.set()
        assert {(await task).status_code for task in (first, waiting)} == {201}
        assert app.storage._streams._free == 1
