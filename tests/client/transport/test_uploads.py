"""Tests of large uploads: parts, parallel transfers, resuming, verification."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import processing_context as pc
from processing_context import ProcessingContext
from tests.support.network import Network
from tests.support.services import Service, User, eventually

MIB = 1024 * 1024
SIZE = 68 * MIB + 5


class Stopped(Exception):
    pass


class Watched:
    """Progress callable that stops the transfer after a number of bytes."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.told: list[int] = []
        self._stop_at = stop_at

    def __call__(self, done: int, total: int) -> None:
        assert total == SIZE
        self.told.append(done)
        if self._stop_at is not None and done >= self._stop_at:
            raise Stopped


@pytest_asyncio.fixture
async def ctx(service: Service, user: User) -> AsyncIterator[ProcessingContext]:
    async with ProcessingContext(base_url=service.url, token=user.token) as made:
        yield made


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "large.bin"
    with path.open("wb") as file:
        for _ in range(SIZE // MIB):
            file.write(os.urandom(MIB))
        file.write(b"12345")
    return path


def digest(file: Any) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return digest(file)


async def create(ctx: ProcessingContext, path: Path, watched: Watched | None = None) -> pc.Asset:
    return await ctx.create_asset("large", "a/b", path, progress=watched)


async def test_a_large_file_goes_in_parts_and_comes_back(
    ctx: ProcessingContext, large: Path
) -> None:
    watched = Watched()
    asset = await create(ctx, large, watched)
    assert (asset.status, asset.size) == ("ready", SIZE)
    assert watched.told[-1] == max(watched.told) == SIZE
    with await ctx.download_asset(asset.id) as file:
        assert digest(file) == sha256_of(large)

    async def is_checked() -> bool:
        return (await ctx.find_asset(asset.id)).sha256 == sha256_of(large)

    await eventually(is_checked)


async def test_the_same_call_goes_on_where_an_interrupted_one_stopped(
    ctx: ProcessingContext, large: Path
) -> None:
    with pytest.raises(Stopped):
        await create(ctx, large, Watched(stop_at=40 * MIB))
    assert (await ctx.list_assets(recursive=True)).assets == []
    again = Watched()
    asset = await create(ctx, large, again)
    assert again.told[0] >= 8 * MIB  # the parts that were stored already
    assert again.told[-1] == SIZE
    assert asset.status == "ready"
    with await ctx.download_asset(asset.id) as file:
        assert digest(file) == sha256_of(large)


async def test_a_killed_process_is_taken_up_by_another(
    ctx: ProcessingContext, service: Service, user: User, large: Path
) -> None:
    code = (
        "import asyncio, os, signal, sys\n"
        "from processing_context import ProcessingContext\n"
        "def tell(done, total):\n"
        "    if done > total // 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "async def main():\n"
        "    async with ProcessingContext() as ctx:\n"
        "        await ctx.create_asset('large', 'a/b', sys.argv[1], progress=tell)\n"
        "asyncio.run(main())\n"
    )
    env = {**os.environ, "CONTEXT_URL": service.url, "CONTEXT_TOKEN": user.token}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, large, env=env)
    assert await process.wait() == -9
    watched = Watched()
    assert (await create(ctx, large, watched)).status == "ready"
    assert watched.told[0] >= 8 * MIB


async def test_a_finished_upload_is_not_given_out_again(
    ctx: ProcessingContext, large: Path
) -> None:
    first = await create(ctx, large)
    second = await create(ctx, large)
    assert second.id != first.id
    await ctx.delete_asset(first.id)
    third = await create(ctx, large)
    assert third.status == "ready"
    assert third.id not in (first.id, second.id)
    assert third.size == SIZE


async def test_the_same_file_twice_at_once_makes_two_assets(
    ctx: ProcessingContext, large: Path
) -> None:
    made = await asyncio.gather(create(ctx, large), create(ctx.copy(), large))
    assert len({asset.id for asset in made}) == 2
    assert {asset.status for asset in made} == {"ready"}


async def test_another_content_under_the_same_name_is_no_continuation(
    ctx: ProcessingContext, large: Path, tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        await create(ctx, large, Watched(stop_at=20 * MIB))
    other = tmp_path / "large.bin"
    other.write_bytes(bytes(SIZE))
    watched = Watched()
    asset = await create(ctx, other, watched)
    assert watched.told[0] < 8 * MIB
    with await ctx.download_asset(asset.id) as file:
        assert digest(file) == sha256_of(other)


async def test_a_file_that_shrinks_meanwhile_leaves_nothing(
    ctx: ProcessingContext, large: Path, tmp_path: Path
) -> None:
    path = tmp_path / "shrinking"
    shutil.copy(large, path)

    def cut(done: int, _total: int) -> None:
        if done:
            os.truncate(path, 30 * MIB)

    with pytest.raises(ValueError, match="ended after"):
        await ctx.create_asset("large", "a/b", path, progress=cut)
    assert (await ctx.list_assets(recursive=True)).assets == []


async def test_uploads_and_downloads_survive_a_storage_that_drops_them(
    service: Service, start_service: Callable[..., Service], user: User, large: Path
) -> None:
    assert service.settings.s3_endpoint
    with Network(service.settings.s3_endpoint) as network:
        replica = start_service(like=service, s3_public_endpoint=network.url)
        left: list[int] = []

        def cut(done: int, _total: int) -> None:
            if left and done > left[0]:
                left.pop(0)
                network.cut()

        async with ProcessingContext(base_url=replica.url, token=user.token) as ctx:
            left += [10 * MIB, 50 * MIB]
            asset = await ctx.create_asset("large", "a/b", large, progress=cut)
            assert not left
            assert (asset.status, asset.size) == ("ready", SIZE)
            left += [20 * MIB, 40 * MIB]
            with await ctx.download_asset(asset.id, progress=cut) as file:
                assert digest(file) == sha256_of(large)
            assert not left
