"""Tests of thumbnails of images and videos."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from PIL import Image, ImageChops, ImageStat

from app.assets.cleanup import AssetObjects
from app.storage.due_deletions import DueDeletions
from tests.support.assets import fetch, journal, keys, make_asset, make_folder, s3
from tests.support.media import encoded, photo, sound, tone, video
from tests.support.photos import SRGB, empty_profile
from tests.support.services import Service, User, eventually

BLACK = Image.new("RGB", (160, 120))


async def thumbnail(user: User, asset_id: str, **query: Any) -> httpx.Response:
    return await user.http.get(f"/v1/assets/{asset_id}/thumbnail", params=query)


async def shown(user: User, content: bytes, **query: Any) -> Image.Image:
    """Upload a file and return its thumbnail."""
    made = await make_asset(user, content, file_name="x")
    reply = await thumbnail(user, made.id, **query)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "image/webp"
    image = Image.open(io.BytesIO(reply.content))
    assert image.format == "WEBP"
    return image


def difference(image: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two images: 0 for equal ones, 255 for black and white."""
    resized = other.convert("RGB").resize(image.size)
    return max(ImageStat.Stat(ImageChops.difference(image.convert("RGB"), resized)).mean)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
async def test_each_image_format_has_a_thumbnail(user: User, kind: str) -> None:
    picture = photo("astronaut").resize((400, 300))
    image = await shown(user, encoded(picture, kind))
    assert image.size == (256, 192)
    assert difference(image, picture) < 12


async def test_the_size_is_that_of_the_longer_side_and_never_larger_than_the_image(
    user: User,
) -> None:
    tall = encoded(photo("coffee").resize((100, 500)))
    assert (await shown(user, tall, size=64)).size == (13, 64)
    assert (await shown(user, tall, size=1024)).size == (100, 500)
    assert (await shown(user, tall, size="")).size == (51, 256)


async def test_a_large_photo_is_scaled_well(user: User) -> None:
    picture = photo("astronaut").resize((4000, 3000))
    image = await shown(user, encoded(picture, "JPEG"), size=200)
    assert image.size == (200, 150)
    assert difference(image, picture) < 8


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_an_image_is_upright(user: User, orientation: int) -> None:
    upright = photo("astronaut").resize((80, 120))
    turned = {
        1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4,
    }[orientation]  # fmt: skip
    lying = upright if turned is None else upright.transpose(Image.Transpose(turned))
    image = await shown(user, encoded(lying, orientation=orientation))
    assert image.size == (80, 120)
    assert difference(image, upright) < 12


@pytest.mark.parametrize(
    ("mode", "profile"),
    [("CMYK", empty_profile(b"CMYK")), ("L", empty_profile(b"GRAY")), ("RGB", SRGB)],
)
async def test_a_thumbnail_is_in_srgb_without_a_profile(
    user: User, mode: str, profile: bytes
) -> None:
    picture = photo("astronaut").resize((300, 300))
    out = io.BytesIO()
    picture.convert(mode).save(out, "JPEG", icc_profile=profile)
    image = await shown(user, out.getvalue())
    assert "icc_profile" not in image.info
    assert difference(image, picture.convert(mode)) < 12


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
async def test_each_image_mode_has_a_thumbnail(user: User, mode: str) -> None:
    grey = photo("coffee").convert("L").resize((120, 80))
    kind = "TIFF" if mode == "CMYK" else "PNG"
    if mode == "I;16":
        picture = grey.convert("I").point(lambda value: value * 257).convert("I;16")
    else:
        picture = grey.convert("RGBA").convert(mode) if mode == "LA" else grey.convert(mode)
    image = await shown(user, encoded(picture, kind))
    assert difference(image, picture if mode == "1" else grey) < 16


async def test_alpha_is_kept(user: User) -> None:
    picture = photo("astronaut").resize((100, 100)).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((100, 100)))
    image = await shown(user, encoded(picture))
    assert image.mode == "RGBA"
    assert image.getpixel((50, 2))[3] < 20  # type: ignore[index]
    assert image.getpixel((50, 97))[3] > 235  # type: ignore[index]


async def test_an_animation_shows_its_first_image(user: User) -> None:
    frames = [Image.new("RGB", (50, 50), color) for color in ("red", "green", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert difference(await shown(user, content), frames[0]) < 6


@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "libx264"), ("webm", "libvpx"), ("matroska", "libx264")]
)
async def test_a_video_shows_its_first_good_frame(user: User, container: str, codec: str) -> None:
    picture = photo("astronaut").resize((160, 120))
    content = video([BLACK] * 12 + [picture] * 5, container=container, codec=codec)
    image = await shown(user, content)
    assert image.size == (160, 120)
    assert difference(image, picture) < 16


async def test_a_dark_video_shows_its_brightest_frame(user: User) -> None:
    image = await shown(user, video([BLACK] * 20))
    assert difference(image, BLACK) < 4


async def test_a_video_is_upright(user: User) -> None:
    upright = photo("astronaut").resize((120, 160))
    lying = upright.transpose(Image.Transpose.ROTATE_270)
    image = await shown(user, video([lying] * 3, rotation=90))
    assert image.size == (120, 160)
    assert difference(image, upright) < 16


async def test_a_thumbnail_is_created_once(service: Service, user: User) -> None:
    made = await make_asset(user, encoded(photo()), file_name="x.png")
    assert made.thumb_url is None
    before = await keys(service)
    replies = await asyncio.gather(*(thumbnail(user, made.id) for _ in range(6)))
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.headers["etag"] for reply in replies}) == 1
    assert len({reply.content for reply in replies}) == 1
    again = await thumbnail(user, made.id)
    assert again.headers["etag"] == replies[0].headers["etag"]
    unchanged = await user.http.get(
        f"/v1/assets/{made.id}/thumbnail", headers={"If-None-Match": again.headers["etag"]}
    )
    assert unchanged.status_code == 304
    assert len(await keys(service) - before) == 1
    known = await service.run(AssetObjects(service.db).known(await keys(service)))
    assert known == await keys(service)


async def test_the_asset_has_the_url_of_an_existing_thumbnail(user: User) -> None:
    made = await make_asset(user, encoded(photo()), file_name="x.png")
    await thumbnail(user, made.id, size=64)
    assert (await user.http.get(f"/v1/assets/{made.id}")).json()["thumb_url"] is None
    image = (await thumbnail(user, made.id)).content
    asset = (await user.http.get(f"/v1/assets/{made.id}")).json()
    served = await fetch(asset["thumb_url"])
    assert (served.content, served.headers["content-type"]) == (image, "image/webp")
    listed = (await user.http.get("/v1/assets", params={"urls": True})).json()["assets"]
    assert (await fetch(listed[0]["thumb_url"])).content == image
    assert (await user.http.get("/v1/assets")).json()["assets"][0]["thumb_url"] is None


async def test_new_bytes_have_a_new_thumbnail(service: Service, user: User) -> None:
    made = await make_asset(user, encoded(photo("astronaut")), file_name="x.png")
    first = await thumbnail(user, made.id)
    before = await keys(service)
    replaced = await user.http.put(
        f"/v1/assets/{made.id}/content",
        content=encoded(Image.new("RGB", (30, 20), "red")),
        headers={"Content-Type": "image/png"},
    )
    assert replaced.json()["thumb_url"] is None
    second = await thumbnail(user, made.id)
    assert second.headers["etag"] != first.headers["etag"]
    assert Image.open(io.BytesIO(second.content)).size == (30, 20)
    left = await journal(service)
    assert {operation for _, operation in left} <= {"delete"}  # the service processes them
    assert {key for key, _ in left} < before


@pytest.mark.parametrize("is_in_folder", [False, True])
async def test_thumbnails_are_deleted_with_the_asset(
    start_service: Callable[..., Service], *, is_in_folder: bool
) -> None:
    service = start_service()
    async with await service.new_user() as user:
        folder = await make_folder(user)
        parent_id = folder.id if is_in_folder else None
        made = await make_asset(user, encoded(photo()), name="x", parent_id=parent_id)
        for size in (16, 256):
            await thumbnail(user, made.id, size=size)
        assert len(await keys(service)) == 3
        gone = folder.id if is_in_folder else made.id
        await user.http.delete(f"/v1/assets/{gone}", params={"recursive": True})
        assert (await thumbnail(user, made.id)).status_code == 404
        await service.run(service.get(DueDeletions).process())

        async def is_empty() -> bool:
            return await keys(service) == set()

        await eventually(is_empty)  # the service may process entries concurrently


async def test_a_lost_thumbnail_is_created_again(service: Service, user: User) -> None:
    made = await make_asset(user, encoded(photo()), file_name="x.png")
    before = await keys(service)
    first = await thumbnail(user, made.id)
    (key,) = await keys(service) - before
    s3(service.settings).remove_object(service.settings.s3_asset_bucket, key)
    again = await thumbnail(user, made.id)
    assert (again.status_code, again.content) == (200, first.content)
    asset = (await user.http.get(f"/v1/assets/{made.id}")).json()
    assert (await fetch(asset["thumb_url"])).content == first.content


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"plain text", "no_thumbnail"),
        (tone(0.1), "no_thumbnail"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "undecodable"),
        (b"", "no_thumbnail"),
        (b"\xff\xd8\xff\xe0" + bytes(1000), "undecodable"),
        (b"\x00\x00\x00\x18ftypisom" + bytes(1000), "undecodable"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no_thumbnail"),
    ],
)
async def test_files_without_pictures_are_refused(user: User, content: bytes, code: str) -> None:
    made = await make_asset(user, content, file_name="x")
    refused = await thumbnail(user, made.id)
    assert (refused.status_code, refused.json()["code"]) == (422, code), refused.text


async def test_sound_in_a_container_of_videos_is_refused(user: User) -> None:
    made = await make_asset(user, sound("mp4", "aac"), file_name="x.mp4")
    refused = await thumbnail(user, made.id)
    assert (refused.status_code, refused.json()["code"]) == (422, "undecodable")
    assert "no video track" in refused.json()["detail"]


async def test_an_image_of_too_many_pixels_is_refused_unread(user: User) -> None:
    bomb = encoded(Image.new("1", (30_000, 30_000)))
    assert len(bomb) < 1_000_000
    made = await make_asset(user, bomb, file_name="x.png")
    refused = await thumbnail(user, made.id)
    assert (refused.status_code, refused.json()["code"]) == (413, "source_too_large")


async def test_a_truncated_image_is_refused_with_a_reason(user: User) -> None:
    made = await make_asset(user, encoded(photo(), "JPEG")[:9000], file_name="x.jpg")
    refused = await thumbnail(user, made.id)
    assert (refused.status_code, refused.json()["code"]) == (422, "undecodable")
    assert refused.json()["detail"] == "The image is damaged or truncated."


@pytest.mark.parametrize(
    "playlist",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
    ],
)
async def test_a_playlist_opens_no_other_file(user: User, playlist: bytes) -> None:
    made = await make_asset(user, playlist, file_name="x.mp4", file_type="video/mp4")
    refused = await thumbnail(user, made.id)
    assert (refused.status_code, refused.json()["code"]) == (422, "undecodable")


async def test_other_refusals(user: User, other: User) -> None:
    made = await make_asset(user, encoded(photo()), file_name="x.png")
    folder = await make_folder(user)
    assert (await thumbnail(user, folder.id)).json()["code"] == "no_thumbnail"
    assert (await thumbnail(other, made.id)).status_code == 404
    assert (await thumbnail(user, "x")).status_code == 404
    for size in (0, 15, 1025, "x"):
        assert (await thumbnail(user, made.id, size=size)).status_code == 422
    body = {"name": "x.png", "content_type": "image/png", "size": 10}
    pending = (await user.http.post("/v1/assets/uploads", json=body)).json()["asset"]
    assert (await thumbnail(user, pending["id"])).json()["code"] == "upload_incomplete"


async def test_hostile_files_do_not_affect_other_requests(user: User) -> None:
    hostile = await make_asset(user, b"GIF89a" + b"\xff" * 5000, file_name="x.gif")
    good = await make_asset(user, encoded(photo()), file_name="x.png")
    replies = await asyncio.gather(
        *(thumbnail(user, asset.id, size=20 + n) for n in range(4) for asset in (hostile, good))
    )
    assert [reply.status_code for reply in replies] == [422, 200] * 4

    async def is_ready() -> bool:
        return (await user.http.get("/readyz")).is_success

    await eventually(is_ready)
