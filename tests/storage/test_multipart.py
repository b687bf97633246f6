"""Tests of multipart uploads in storage."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from app.storage import MAX_PARTS, ObjectMissing, Refused, Storage
from app.storage.multipart import Part
from tests.support.assets import put
from tests.support.services import WAIT_S, Service


async def test_all_parts_are_listed_however_many(service: Service) -> None:
    storage = Storage(service.settings, parts_at_once=10)  # 1,000, the limit of S3, would be slow
    uploads = storage.assets.uploads
    upload_id = await uploads.begin("many/parts")
    numbers = [*range(1, 35), MAX_PARTS]
    gate = asyncio.Semaphore(16)
    async with httpx.AsyncClient(timeout=WAIT_S) as http:

        async def put_one(number: int) -> None:
            async with gate:
                url = storage.presign_part(
                    storage.assets,
                    "many/parts",
                    upload_id,
                    number,
                    network="internal",
                    expires_s=600,
                    size=1,
                )
                assert (await http.put(url, content=b"x")).status_code == 200

        await asyncio.gather(*(put_one(number) for number in reversed(numbers)))
    stored = await uploads.stored("many/parts", upload_id)
    assert [part.number for part in stored] == numbers
    await uploads.abort("many/parts", upload_id)
    await uploads.abort("many/parts", upload_id)
    with pytest.raises(ObjectMissing):
        await uploads.stored("many/parts", upload_id)


async def test_a_completion_with_missing_parts_is_refused(service: Service) -> None:
    storage = service.storage
    uploads = storage.assets.uploads
    upload_id = await service.run(uploads.begin("no/parts"))
    url = storage.presign_part(
        storage.assets, "no/parts", upload_id, 1, network="internal", expires_s=600, size=1
    )
    await put(url, b"x")
    with pytest.raises(Refused):
        await service.run(uploads.complete("no/parts", upload_id, [Part(1, 1, "0" * 32)]))
    with pytest.raises(ObjectMissing):
        await service.run(storage.assets.stat("no/parts"))
    await service.run(uploads.abort_all("no/parts"))


async def test_only_the_uploads_of_the_key_are_aborted(service: Service) -> None:
    uploads = service.storage.assets.uploads

    async def keys() -> list[str]:
        return sorted([upload.key async for upload in uploads.unfinished("of/")])

    for key in ("of/a", "of/a", "of/ab", "of/ä &<b"):
        await service.run(uploads.begin(key))
    assert await service.run(keys()) == ["of/a", "of/a", "of/ab", "of/ä &<b"]
    await service.run(uploads.abort_all("of/a"))
    await service.run(uploads.abort_all("of/ä &<b"))
    assert await service.run(keys()) == ["of/ab"]
