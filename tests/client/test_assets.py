"""Tests of the client with a running service: assets, temporary files, images."""

from __future__ import annotations

import hashlib
import io
import os
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from skimage import data as photographs

import processing_context as pc
from processing_context import ImageRef, ProcessingContext
from tests.support.services import Service, User

MIB = 1024 * 1024
SIZES = [0, 1, MIB, MIB + 1, 17 * MIB]


@pytest_asyncio.fixture
async def ctx(service: Service, user: User) -> AsyncIterator[ProcessingContext]:
    async with ProcessingContext(base_url=service.url, token=user.token) as made:
        yield made


@pytest.mark.parametrize("size", SIZES)
async def test_a_file_of_any_size_comes_back_as_it_was(
    ctx: ProcessingContext, user: User, size: int
) -> None:
    content = os.urandom(size)
    told: list[tuple[int, int]] = []
    asset = await ctx.create_asset(
        "a name/with: ünïcode",
        "application/x-thing",
        io.BytesIO(content),
        metadata={"k": [1, None, "\u0000"]},
        progress=lambda done, total: told.append((done, total)),
    )
    assert (asset.user_id, asset.status, asset.size) == (user.id, "ready", size)
    assert (asset.name, asset.content_type) == ("a name/with: ünïcode", "application/x-thing")
    assert asset.metadata == {"k": [1, None, "\u0000"]}
    assert told[-1] == (size, size)
    if asset.sha256 is not None:
        assert asset.sha256 == hashlib.sha256(content).hexdigest()
    with await ctx.download_asset(asset.id) as file:
        assert file.read() == content
        file.seek(0)
        assert file.read(1) == content[:1]
    assert await ctx.http_get(await ctx.get_asset_url(asset.id)) == content
    assert (await ctx.find_asset(asset.id)).size == size


async def test_content_may_be_bytes_a_path_or_a_file_at_any_position(
    ctx: ProcessingContext, tmp_path: Path
) -> None:
    content = os.urandom(2 * MIB)
    path = tmp_path / "file"
    path.write_bytes(content)
    at_end = io.BytesIO(content)
    at_end.seek(0, os.SEEK_END)
    reader, writer = os.pipe()
    os.write(writer, b"through a pipe")
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        wanted: list[tuple[Any, bytes]] = [
            (content, content),
            (bytearray(content), content),
            (memoryview(content), content),
            (path, content),
            (str(path), content),
            (at_end, content),
            (pipe, b"through a pipe"),
        ]
        for given, bytes_ in wanted:
            asset = await ctx.create_asset("n", "application/octet-stream", given)
            assert await ctx.asset_to_bytes(pc.AssetRef(asset_id=asset.id)) == bytes_
        assert not pipe.closed
    assert not at_end.closed


async def test_memory_stays_flat_whatever_the_size(ctx: ProcessingContext, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        for _ in range(40):
            file.write(os.urandom(MIB))
    tracemalloc.start()
    try:
        asset = await ctx.create_asset("large", "application/octet-stream", path)
        with await ctx.download_asset(asset.id) as file:
            found = hashlib.file_digest(file, "sha256").digest()  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert asset.size == 40 * MIB
    assert found == hashlib.sha256(path.read_bytes()).digest()
    assert peak < 20 * MIB


async def test_progress_true_shows_a_bar(
    ctx: ProcessingContext, capsys: pytest.CaptureFixture[str]
) -> None:
    asset = await ctx.create_asset("my file", "a/b", bytes(2 * MIB), progress=True)
    assert "my file" in capsys.readouterr().err
    (await ctx.download_asset(asset.id, progress=True)).close()
    assert "100%" in capsys.readouterr().err


async def test_folders_pages_and_filters(ctx: ProcessingContext) -> None:
    folder = await ctx.create_folder("things")
    made = [
        (await ctx.create_asset(f"f{i}", "text/plain", b"x", parent_id=folder.id)).id
        for i in range(5)
    ]
    page = await ctx.paginate_assets(parent_id=folder.id, page_size=2)
    assert [asset.id for asset in page.assets] == made[:2:-1]
    rest = await ctx.paginate_assets(folder.id, 100, page.next)
    assert [asset.id for asset in rest.assets] == made[2::-1]
    assert rest.next is None
    found = [asset.id async for asset in ctx.iter_assets(parent_id=folder.id, page_size=2)]
    assert found == made[::-1]
    assert [asset.id for asset in (await ctx.paginate_assets()).assets] == [folder.id]
    everything = [asset.id async for asset in ctx.iter_assets(recursive=True)]
    assert len(everything) == 6
    assert [a.name for a in (await ctx.list_assets(q="f3", recursive=True)).assets] == ["f3"]
    with pytest.raises(pc.ValidationError) as caught:
        await ctx.paginate_assets(cursor="nonsense")
    assert caught.value.code == "invalid_cursor"


async def test_assets_are_changed_and_deleted(ctx: ProcessingContext) -> None:
    folder = await ctx.create_folder("f")
    asset = await ctx.create_asset("n", "text/plain", b"x", folder.id)
    changed = await ctx.update_asset(asset.id, name="m", metadata={"a": 1})
    assert (changed.name, changed.metadata, changed.parent_id) == ("m", {"a": 1}, folder.id)
    with pytest.raises(pc.ConflictError):
        await ctx.delete_asset(folder.id)
    await ctx.delete_asset(folder.id, recursive=True)
    with pytest.raises(pc.NotFoundError):
        await ctx.find_asset(asset.id)
    with pytest.raises(pc.NotFoundError):
        await ctx.download_asset(asset.id)


async def test_a_folder_has_no_content(ctx: ProcessingContext) -> None:
    folder = await ctx.create_folder("f")
    with pytest.raises(pc.ContextError, match="folder"):
        await ctx.download_asset(folder.id)


async def test_someone_elses_asset_is_not_found(
    ctx: ProcessingContext, service: Service, other: User
) -> None:
    asset = await ctx.create_asset("n", "text/plain", b"x")
    async with ProcessingContext(base_url=service.url, token=other.token) as theirs:
        assert theirs.user_id == other.id
        for call in (theirs.find_asset, theirs.get_asset_url, theirs.download_asset):
            with pytest.raises(pc.NotFoundError):
                await call(asset.id)
        with pytest.raises(pc.ValidationError):
            await theirs.create_asset("n", "text/plain", b"x", parent_id=asset.id)


async def test_a_bad_token_is_told_on_entering(service: Service) -> None:
    with pytest.raises(pc.AuthenticationError):
        async with ProcessingContext(base_url=service.url, token="ctx_wrong"):
            pytest.fail("it got in")


async def test_a_reservation_that_fails_leaves_nothing(ctx: ProcessingContext) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > MIB:
                raise ValueError("the disk is gone")
            return super().read(size)

    with pytest.raises(ValueError, match="the disk is gone"):
        await ctx.create_asset("n", "a/b", Broken(bytes(17 * MIB)))
    assert (await ctx.list_assets(recursive=True)).assets == []


@pytest.mark.parametrize("size", [0, 5, MIB + 1])
async def test_temporary_files(ctx: ProcessingContext, size: int) -> None:
    content = os.urandom(size)
    url = await ctx.create_temp_asset(io.BytesIO(content), "png")
    assert await ctx.http_get(url) == content
    with await ctx.download_temp_asset(url) as file:
        assert file.read() == content
    temp_id = url.split("?")[0].rpartition("/")[2]
    assert temp_id.endswith(".png")
    for name in (ctx.temp_storage_url(temp_id), f"/v1/storage/temp/{temp_id}"):
        with await ctx.download_file(name) as file:
            assert file.read() == content
    with pytest.raises(pc.NotFoundError):
        await ctx.download_temp_asset("0" * 32 + ".png")


async def test_stable_urls_and_refreshed_ones(ctx: ProcessingContext) -> None:
    asset = await ctx.create_asset("n", "text/plain", b"hello")
    with await ctx.download_file(ctx.asset_storage_url(f"{asset.id}.txt")) as file:
        assert file.read() == b"hello"
    ref = pc.AssetRef(asset_id=asset.id)
    assert await ctx.refresh_uri(ref) is ref
    assert await ctx.http_get(ref.uri) == b"hello"
    temp = pc.AssetRef(uri=await ctx.create_temp_asset(b"tmp"))
    assert await ctx.http_get((await ctx.refresh_uri(temp)).uri) == b"tmp"
    with pytest.raises(ValueError, match="neither"):
        await ctx.refresh_uri(pc.AssetRef())


async def test_a_photograph_becomes_an_asset_and_comes_back(ctx: ProcessingContext) -> None:
    astronaut: np.ndarray = photographs.astronaut()  # type: ignore[no-untyped-call]
    jpeg = io.BytesIO()
    Image.fromarray(astronaut).save(jpeg, "JPEG")
    from_jpeg = await ctx.image_from_bytes(jpeg.getvalue(), name="astronaut.png")
    from_array = await ctx.image_from_numpy(astronaut, name="array")
    assert from_jpeg.data is None
    assert from_jpeg.asset_id
    assert from_array.asset_id
    assert (await ctx.find_asset(from_jpeg.asset_id)).content_type == "image/jpeg"
    assert (await ctx.find_asset(from_array.asset_id)).content_type == "image/png"
    assert np.array_equal(await ctx.image_to_numpy(from_array), astronaut)
    by_url = await ctx.image_from_url(await ctx.get_asset_url(from_jpeg.asset_id))
    assert by_url.data == jpeg.getvalue()
    assert (await ctx.image_to_pil(ImageRef(uri=from_jpeg.uri))).size == (512, 512)


async def test_a_given_client_serves_only_the_api(service: Service, user: User) -> None:
    async with httpx.AsyncClient() as client:
        async with ProcessingContext(
            base_url=service.url, token=user.token, http_client=client
        ) as ctx:
            asset = await ctx.create_asset("n", "a/b", bytes(2_000_000))
            assert asset.size == 2_000_000
        assert not client.is_closed
