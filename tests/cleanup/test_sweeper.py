"""Tests of the sweeper: removals, corrections, and objects that it must not touch."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import asyncpg
import httpx
import pytest_asyncio
from PIL import Image

from app.cleanup.buckets import FEW
from app.cleanup.cli import open_sweeper
from app.cleanup.queries import LOCK_ID
from app.database.engine import connect_args
from app.domains import DOMAINS
from app.runtime.ids import new_id
from app.settings import Settings
from app.storage import Storage
from tests.support.assets import keys, make_asset, put
from tests.support.jobs import owner, start, worker_of
from tests.support.services import Service, User, eventually
from tests.support.sweeps import (
    assert_nothing_lost_or_stray,
    execute,
    let_time_pass,
    report_of,
    sweep,
)

HOUR = 3600


@pytest_asyncio.fixture
async def clean(service: Service) -> AsyncIterator[Settings]:
    """Settings of the module's service, after a sweep of all leftovers."""
    await let_time_pass(service.settings)
    await sweep(service.settings)
    yield service.settings
    await assert_nothing_lost_or_stray(service.settings)


async def write(settings: Settings, bucket: str, *names: str) -> None:
    """Put objects without a row."""
    objects = Storage(settings).by_name(bucket)
    for name in names:
        async with objects.upload(name, "user") as upload:
            await upload.write(b"stray")


async def begin(settings: Settings, key: str) -> None:
    """Begin a multipart upload without a row."""
    await Storage(settings).assets.uploads.begin(key)


async def reserve(user: User) -> tuple[str, str, dict[str, str]]:
    """Reserve an upload; return the asset's id, the URL and its headers."""
    body = {"name": "a", "content_type": "a/b", "size": 5}
    reserved = (await user.http.post("/v1/assets/uploads", json=body)).json()
    return reserved["asset"]["id"], reserved["upload"]["url"], reserved["upload"]["headers"]


async def temp(http: httpx.AsyncClient, token: str | None = None) -> str:
    """Create a temporary file."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    made = await http.post("/v1/temp", content=b"hello", headers=headers)
    assert made.status_code == 201, made.text
    temp_id: str = made.json()["id"]
    return temp_id


async def test_a_dry_run_reports_the_counts_of_the_next_sweep(
    clean: Settings, service: Service, user: User
) -> None:
    made = await make_asset(user)
    expired = await temp(user.http)
    await execute(clean, "update temp_files set expires_at = now() where id = $1", expired)
    await write(clean, "assets", f"{new_id()}/{new_id()}", f"{made.id}/{new_id()}")
    await write(clean, "temp", f"{new_id()}.png")
    await begin(clean, f"{new_id()}/{new_id()}")
    before = await keys(service) | await keys(service, "temp")
    found = {
        "expired temporary files": 1,
        "objects of assets without a row": 2,
        "objects of temporary files without a row": 1,
        "abandoned multipart uploads": 1,
    }
    assert await sweep(clean, dry=True) == found
    assert await keys(service) | await keys(service, "temp") == before
    assert await sweep(clean) == found
    assert await sweep(clean) == {}
    assert (await user.http.get(f"/v1/assets/{made.id}/content")).content == b"hello"
    assert (await user.http.get(f"/v1/temp/{expired}")).status_code == 404


async def test_objects_within_the_grace_period_are_not_touched(
    clean: Settings, service: Service
) -> None:
    key = f"{new_id()}/{new_id()}"
    await write(clean, "assets", key)
    await begin(clean, key)
    assert await sweep(clean, sweep_grace_s=HOUR) == {}
    assert {key, f"unfinished {key}"} <= await keys(service)
    assert sum((await sweep(clean)).values()) == 2


async def test_objects_with_foreign_keys_are_not_touched(clean: Settings, service: Service) -> None:
    await write(clean, "assets", "backup/of/something")
    assert await sweep(clean) == {}
    assert "backup/of/something" in await keys(service)
    await Storage(clean).assets.delete(["backup/of/something"])


async def test_an_upload_in_progress_has_a_journal_entry(
    clean: Settings, service: Service, user: User
) -> None:
    """An upload in progress is not an orphan, even without a grace period."""
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def body() -> AsyncIterator[bytes]:
        while (piece := await pieces.get()) is not None:
            yield piece

    made = await make_asset(user)
    upload = asyncio.create_task(user.http.put(f"/v1/assets/{made.id}/content", content=body()))
    for _ in range(20):
        pieces.put_nowait(bytes(1024 * 1024))

    async def has_parts() -> bool:
        return any(key.startswith("unfinished") for key in await keys(service))

    await eventually(has_parts)
    assert await sweep(clean) == {}
    pieces.put_nowait(None)
    assert (await upload).status_code == 200


async def test_an_asset_with_lost_bytes_is_corrupt_until_they_are_replaced(
    clean: Settings, service: Service, user: User
) -> None:
    made, folder = (
        await make_asset(user),
        await make_asset(user, None, name="f", content_type="folder"),
    )
    [key] = [key for key in await keys(service) if key.startswith(made.id)]
    await Storage(clean).assets.delete([key])
    found = {"lost objects of assets": 1}
    assert await sweep(clean, sweep_grace_s=HOUR) == {}
    assert await sweep(clean, dry=True) == found
    assert await sweep(clean) == found
    assert await sweep(clean) == {}
    assert (await user.http.get(f"/v1/assets/{made.id}")).json()["status"] == "corrupt"
    assert (await user.http.get(f"/v1/assets/{made.id}/content")).status_code == 409
    assert (await user.http.get(f"/v1/assets/{folder.id}")).json()["status"] == "ready"
    again = await user.http.put(f"/v1/assets/{made.id}/content", content=b"again")
    assert again.json()["status"] == "ready"


async def test_thumbnails_are_kept_and_a_lost_one_is_created_again(
    clean: Settings, service: Service, user: User
) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (40, 30)).save(picture, "PNG")
    made = await make_asset(user, picture.getvalue(), file_name="a.png")
    path = f"/v1/assets/{made.id}"
    before = await keys(service)
    thumbnail = (await user.http.get(f"{path}/thumbnail")).content
    assert await sweep(clean) == {}
    [key] = await keys(service) - before
    await Storage(clean).assets.delete([key])
    assert await sweep(clean) == {"lost objects of assets": 1}
    shown = (await user.http.get(path)).json()
    assert (shown["status"], shown["thumb_url"]) == ("ready", None)
    assert (await user.http.get(f"{path}/thumbnail")).content == thumbnail
    assert (await user.http.delete(path)).status_code == 204
    await let_time_pass(clean)
    await sweep(clean)


async def test_a_temporary_file_with_lost_bytes_is_deleted(clean: Settings, user: User) -> None:
    temp_id = await temp(user.http)
    await Storage(clean).temp.delete([temp_id])
    assert await sweep(clean) == {"lost objects of temporary files": 1}
    assert (await user.http.get(f"/v1/temp/{temp_id}")).status_code == 404


async def test_an_abandoned_upload_is_deleted(
    clean: Settings, service: Service, user: User
) -> None:
    asset_id, url, headers = await reserve(user)
    await put(url, b"bytes", headers)
    assert await sweep(clean) == {}
    await execute(clean, "update assets set created_at = now() - interval '25 h'")
    assert await sweep(clean) == {}, "somebody still holds a URL to put it"
    await execute(clean, "update assets set put_until = now() - interval '1 s'")
    found = {"abandoned uploads": 1}
    assert await sweep(clean, dry=True) == found
    assert await sweep(clean) == found
    assert (await user.http.get(f"/v1/assets/{asset_id}")).status_code == 404
    assert not any(asset_id in key for key in await keys(service))


async def test_files_of_a_job_are_kept_for_some_time_after_its_end(service: Service) -> None:
    settings = service.settings
    kept = {"temporary files kept for their jobs": 1}
    expired = "update temp_files set expires_at = now() where job_id is not null"
    async with owner(service) as user:
        job = await start(user)
        held = await (await worker_of(user)).take()
        temp_id = await temp(user.http, held.token)
        other = await temp(user.http)
        await execute(settings, expired)
        assert await sweep(settings, dry=True) == kept | {"expired temporary files": 1}
        assert await sweep(settings) == kept
        await held.complete()
        await execute(settings, expired)
        assert await sweep(settings) == kept
        assert await sweep(settings) == {}
        finished = await service.run(
            service.db.pool.fetchval("select finished_at from jobs where id = $1", job["id"])
        )
        read = (await user.http.get(f"/v1/temp/{temp_id}")).json()
        lifetime = datetime.fromisoformat(read["expires_at"]) - finished
        assert lifetime == timedelta(seconds=settings.job_temp_ttl_s)
        await execute(settings, "update jobs set finished_at = finished_at - interval '8 d'")
        await execute(settings, expired)
        assert await sweep(settings) == {"expired temporary files": 1}
        assert (await user.http.get(f"/v1/temp/{temp_id}")).status_code == 404
        assert (await user.http.get(f"/v1/temp/{other}")).status_code == 200


async def test_a_bucket_of_another_database_is_not_touched(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    settings = service.settings
    strays = [f"{new_id()}/{new_id()}" for _ in range(FEW + 1)]
    await write(settings, "assets", *strays)
    report = await report_of(settings)
    assert "python -m app sweep --force" in report.problems[0]
    assert set(strays) <= await keys(service)
    assert await sweep(settings, force=True) == {"objects of assets without a row": FEW + 1}
    assert await keys(service) == set()


async def test_assets_are_not_marked_corrupt_because_of_a_wrong_bucket(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    settings = service.settings
    async with await service.new_user() as user:
        made = await make_asset(user)
        await execute(
            settings,
            "insert into assets (id, user_id, name, search_name, content_type, size, status, "
            "metadata, version) select replace(gen_random_uuid()::text, '-', ''), $1, 'a', 'a', "
            "'a/b', 1, 'ready', '{}', repeat('0', 32) from generate_series(1, $2)",
            user.id,
            FEW + 1,
        )
        empty = service.settings.model_copy(update={"s3_asset_bucket": settings.s3_temp_bucket})
        report = await report_of(empty)
        assert len(report.problems) == 1
        assert (await user.http.get(f"/v1/assets/{made.id}")).json()["status"] == "ready"


async def test_one_sweep_runs_at_a_time_and_a_dead_one_blocks_no_other(clean: Settings) -> None:
    assert clean.database_url
    dead = await asyncpg.connect(**connect_args(clean.database_url))
    await dead.execute("select pg_advisory_lock($1)", LOCK_ID)
    async with open_sweeper(clean, DOMAINS) as sweeper:
        assert await sweeper.sweep() is None
        dead.terminate()

        async def sweeps() -> bool:
            return await sweeper.sweep() is not None

        await eventually(sweeps)


async def test_the_service_sweeps_periodically(start_service: Callable[..., Service]) -> None:
    service = start_service(sweep_interval_s=0.2, sweep_grace_s=0)
    await write(service.settings, "assets", f"{new_id()}/{new_id()}")

    async def is_empty() -> bool:
        return await keys(service) == set()

    await eventually(is_empty)
