"""Tests of a worker in the service's network: its transfers are internal, its URLs public."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from processing_context import ImageRef, ProcessingContext
from tests.support.services import Service

PUBLIC = "http://storage.invalid:9000"
"""Nothing can be transferred with this address."""
SIZES = [10, 2 << 20, 17 << 20]
"""Sent to the service, sent to storage, and downloaded in ranges."""


@pytest_asyncio.fixture
async def context(
    start_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ProcessingContext]:
    """A context in the network of a service whose storage has another public address."""
    monkeypatch.setenv("CONTEXT_STORAGE_NETWORK", "internal")
    service = start_service(s3_public_endpoint=PUBLIC)
    async with ProcessingContext(base_url=service.url, token=service.token) as ctx:
        yield ctx


@pytest.mark.parametrize("size", SIZES)
async def test_assets_are_transferred_inside_and_shown_outside(
    context: ProcessingContext, size: int, tmp_path: Path
) -> None:
    content = os.urandom(size)
    folder = await context.create_folder("folder")
    made = await context.create_asset("a.bin", "application/octet-stream", content, folder.id)
    with await context.download_asset(made.id) as file:
        assert file.read() == content
    copy = await context.download_folder(folder.id, tmp_path / "copy")
    assert (copy / "a.bin").read_bytes() == content

    found = await context.find_asset(made.id)
    listed = await context.list_assets(parent_id=folder.id, urls=True)
    fresh = await context.refresh_uri(ImageRef(asset_id=made.id))
    urls = [made.get_url, found.get_url, listed.assets[0].get_url, fresh.uri]
    urls.append(await context.get_asset_url(made.id))
    assert all(url and url.startswith(f"{PUBLIC}/") for url in urls), urls


@pytest.mark.parametrize("size", SIZES[:2])
async def test_temporary_files_are_transferred_inside_and_shown_outside(
    context: ProcessingContext, size: int
) -> None:
    content = os.urandom(size)
    url = await context.create_temp_asset(content, "bin")
    assert url.startswith(f"{PUBLIC}/")
    with await context.download_temp_asset(url) as file:
        assert file.read() == content
    temp_id = url.partition("?")[0].rpartition("/")[2]
    with await context.download_file(context.temp_storage_url(temp_id)) as file:
        assert file.read() == content
