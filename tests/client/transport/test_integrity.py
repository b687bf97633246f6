"""Tests of integrity: changes in transit, or in the file of a resumed upload, are detected."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

import processing_context as pc
from processing_context import ProcessingContext
from processing_context._transport.connections import Target
from processing_context._transport.parts import Parts
from processing_context.wire.assets import UploadComplete
from tests.support.network import Network
from tests.support.services import Service, User, eventually

MIB = 1024 * 1024
SMALL = b"s" * (2 * MIB)
LARGE = b"l" * (65 * MIB)


@pytest.fixture
def network(service: Service) -> Iterator[Network]:
    """Network between the client and storage."""
    assert service.settings.s3_endpoint
    with Network(service.settings.s3_endpoint) as made:
        yield made


@pytest_asyncio.fixture
async def ctx(
    service: Service, start_service: Callable[..., Service], user: User, network: Network
) -> AsyncIterator[ProcessingContext]:
    replica = start_service(like=service, s3_public_endpoint=network.url)
    async with ProcessingContext(base_url=replica.url, token=user.token) as made:
        yield made


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("integrity") / "large.bin"
    path.write_bytes(LARGE)
    return path


async def is_nothing_left(ctx: ProcessingContext) -> bool:
    return (await ctx.list_assets(recursive=True)).assets == []


async def checked(ctx: ProcessingContext, asset_id: str) -> pc.Asset:
    """Return an asset when the service has computed its SHA-256."""

    async def is_checked() -> bool:
        return (await ctx.find_asset(asset_id)).sha256 is not None

    await eventually(is_checked, within_s=60)
    return await ctx.find_asset(asset_id)


async def test_one_put_that_is_spoiled_is_refused(ctx: ProcessingContext, network: Network) -> None:
    network.spoil = b"s"
    with pytest.raises(pc.HTTPStatusError):
        await ctx.create_asset("small", "a/b", SMALL)
    assert network.spoil is None
    assert await is_nothing_left(ctx)


async def test_a_part_that_is_spoiled_makes_the_asset_corrupt(
    ctx: ProcessingContext, network: Network, large: Path
) -> None:
    network.spoil = b"l"
    asset = await ctx.create_asset("large", "a/b", large)
    assert network.spoil is None

    assert (await checked(ctx, asset.id)).status == "corrupt"
    with pytest.raises(pc.ContextError, match="corrupt"):
        await ctx.download_asset(asset.id)


async def test_over_a_wire_without_tls_storage_refuses_the_spoiled_part(
    ctx: ProcessingContext, network: Network, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Target, "is_guarded", False)
    network.spoil = b"l"
    with pytest.raises(pc.HTTPStatusError):
        await ctx.create_asset("large", "a/b", large)
    assert network.spoil is None
    assert await is_nothing_left(ctx)


async def test_a_download_that_is_spoiled_is_not_handed_out(
    ctx: ProcessingContext, network: Network
) -> None:
    asset = await ctx.create_asset("large", "a/b", LARGE)

    await checked(ctx, asset.id)
    network.spoil = b"l"
    with pytest.raises(pc.ContextError, match="SHA-256"):
        await ctx.download_asset(asset.id)
    assert network.spoil is None
    with await ctx.download_asset(asset.id) as file:
        assert await asyncio.to_thread(file.read) == LARGE


class Stopped(Exception):
    pass


def stop(_: UploadComplete) -> UploadComplete:
    raise Stopped


def before_completing(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[UploadComplete], UploadComplete]
) -> None:
    """Run a function between the last part of the next upload and its completion."""
    put = Parts.put

    async def put_and_act(parts: Parts) -> UploadComplete:
        done = await put(parts)
        monkeypatch.setattr(Parts, "put", put)
        return act(done)

    monkeypatch.setattr(Parts, "put", put_and_act)


async def test_a_file_that_only_looks_the_same_is_no_continuation(
    ctx: ProcessingContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.bin"
    content = bytearray(os.urandom(MIB) * 65)
    path.write_bytes(content)
    before_completing(monkeypatch, stop)
    with pytest.raises(Stopped):
        await ctx.create_asset("large", "a/b", path)
    content[30 * MIB + MIB // 2] ^= 1  # between two of the hashed samples
    path.write_bytes(content)
    asset = await ctx.create_asset("large", "a/b", path)
    assert (await checked(ctx, asset.id)).sha256 == hashlib.sha256(content).hexdigest()
    with await ctx.download_asset(asset.id) as file:
        assert await asyncio.to_thread(file.read) == content


async def test_parts_that_are_not_what_was_put_are_looked_at_again(
    ctx: ProcessingContext, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(done: UploadComplete) -> UploadComplete:
        assert done.parts
        done.parts[0].etag = "0" * 32
        return done

    before_completing(monkeypatch, lose)
    asset = await ctx.create_asset("large", "a/b", large)
    assert (await checked(ctx, asset.id)).sha256 == hashlib.sha256(LARGE).hexdigest()


async def test_an_upload_that_was_put_together_by_another_is_left_alone(
    ctx: ProcessingContext, service: Service, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_completing(monkeypatch, stop)
    with pytest.raises(Stopped):
        await ctx.create_asset("large", "a/b", large)
    row = await service.run(
        service.db.pool.fetchrow(
            "select id, version, upload_id from assets where status = 'pending'"
        )
    )
    assert row is not None
    key = f"{row['id']}/{row['version']}"

    async def put_together() -> None:
        await service.storage.assets.uploads.abort(key, row["upload_id"])
        await service.storage.assets.put(key, b"another content")

    await service.run(put_together())
    asset = await ctx.create_asset("large", "a/b", large)
    assert (asset.status, asset.size) == ("ready", 65 * MIB)
    assert asset.id != row["id"]
