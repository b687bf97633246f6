"""Tests of the extraction of width, height and duration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from tests.support.assets import make_asset, put
from tests.support.media import encoded, photo, sound, tone, video
from tests.support.services import Service, User, eventually

PICTURE = Image.new("RGB", (64, 48), (200, 80, 40))


async def settled(service: Service, user: User, asset_id: str) -> dict[str, Any]:
    """Return the asset after its media metadata have been processed."""

    async def is_settled() -> bool:
        query = "select facts_due is null from assets where id = $1"
        return bool(await service.run(_fetchval(service, query, asset_id)))

    await eventually(is_settled)
    asset: dict[str, Any] = (await user.http.get(f"/v1/assets/{asset_id}")).json()
    return asset


async def _fetchval(service: Service, query: str, *args: object) -> Any:
    return await service.db.pool.fetchval(query, *args)


async def facts(
    service: Service, user: User, content: bytes, **options: Any
) -> tuple[Any, Any, Any]:
    """Upload a file, and return its width, height and duration."""
    made = await make_asset(user, content, **{"file_name": "x", **options})
    asset = await settled(service, user, made.id)
    assert asset["status"] == "ready"
    return asset["width"], asset["height"], asset["duration"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
async def test_an_image_has_a_size(service: Service, user: User, kind: str) -> None:
    assert await facts(service, user, encoded(photo().resize((70, 50)), kind)) == (70, 50, None)


async def test_the_size_is_the_displayed_one(service: Service, user: User) -> None:
    lying = encoded(photo().resize((70, 50)), "JPEG", orientation=6)
    assert await facts(service, user, lying) == (50, 70, None)
    turned = video([PICTURE] * 5, rotation=90)
    assert await facts(service, user, turned) == (48, 64, pytest.approx(0.5))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tone(1.5), 1.5),
        (sound("mp3", "mp3"), 1.5),
        (sound("flac", "flac"), 1.5),
        (sound("ogg", "libopus"), 1.5),
        (sound("mp4", "aac"), 1.5),
    ],
    ids=["wav", "mp3", "flac", "opus", "m4a"],
)
async def test_audio_has_a_duration(
    service: Service, user: User, content: bytes, expected: float
) -> None:
    width, height, duration = await facts(service, user, content, file_type="audio/x-any")
    assert (width, height) == (None, None)
    assert duration == pytest.approx(expected, abs=0.08)


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("mp4", "libx264"),
        ("mov", "libx264"),
        ("webm", "libvpx"),
        ("matroska", "libx264"),
        ("avi", "mpeg4"),
    ],
)
async def test_a_video_has_both(service: Service, user: User, container: str, codec: str) -> None:
    content = video([PICTURE] * 20, container=container, codec=codec)
    assert await facts(service, user, content) == (64, 48, pytest.approx(2, abs=0.11))


async def test_a_live_recording_is_measured(service: Service, user: User) -> None:
    content = video([PICTURE] * 20, container="webm", codec="libvpx", is_live=True)
    assert await facts(service, user, content) == (64, 48, pytest.approx(2, abs=0.11))


@pytest.mark.parametrize(
    ("content", "file_type"),
    [
        (b"plain text", "text/plain"),
        (b"plain text", None),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), None),
        (b"RIFF\xff\xff\xff\xffWAVE" + bytes(50), None),
        (b"", "image/png"),
        (b"no video", "video/mp4"),
    ],
)
async def test_other_files_have_no_media_metadata(
    service: Service, user: User, content: bytes, file_type: str | None
) -> None:
    found = await facts(service, user, content, file_type=file_type)
    assert found == (None, None, None)


async def test_presigned_uploads_are_inspected_too(service: Service, user: User) -> None:
    content = encoded(photo().resize((40, 30)))
    body = {"name": "x", "content_type": "application/octet-stream", "size": len(content)}
    reserved = (await user.http.post("/v1/assets/uploads", json=body)).json()
    asset_id, upload = reserved["asset"]["id"], reserved["upload"]
    assert (await put(upload["url"], content, upload["headers"])).is_success
    assert (await user.http.post(f"/v1/assets/{asset_id}/complete")).is_success
    asset = await settled(service, user, asset_id)
    assert (asset["width"], asset["height"]) == (40, 30)
    assert asset["content_type"] == "image/png"


async def test_replaced_bytes_have_new_metadata(service: Service, user: User) -> None:
    made = await make_asset(user, encoded(photo().resize((40, 30))), file_name="x.png")
    await settled(service, user, made.id)
    url = f"/v1/assets/{made.id}/content"
    headers = {"Content-Type": "audio/wav"}
    replaced = await user.http.put(url, content=tone(0.5), headers=headers)
    assert replaced.json()["width"] is None
    asset = await settled(service, user, made.id)
    assert (asset["width"], asset["height"], asset["duration"]) == (None, None, 0.5)


async def test_another_replica_takes_over_an_expired_lease(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    async with await service.new_user() as user:
        made = await make_asset(user, encoded(photo().resize((40, 30))), file_name="x.png")
        await settled(service, user, made.id)
        # The state after a replica was killed and its lease has expired.
        unfinished = "update assets set width = null, height = null, facts_due = now()"
        service.stop()
        other = start_service(like=service)
        await other.run(other.db.pool.execute(unfinished))
        async with other.client(user.token) as http:
            again = User(user.id, user.token, http)
            asset = await settled(other, again, made.id)
        assert (asset["width"], asset["height"]) == (40, 30)
