"""Assets and what refs name."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any

from processing_context._arguments import given
from processing_context._local_files import LocalFiles, OnExisting
from processing_context._transport.api import Http
from processing_context._transport.content import Content
from processing_context._transport.network import Network
from processing_context._transport.transfer import Progress
from processing_context.resources.assets import Assets
from processing_context.resources.files import Files
from processing_context.wire.assets import Asset, AssetList, AssetUpdate


class AssetMethods:
    """Files and folders of the user."""

    _http: Http
    _network: Network
    _assets: Assets
    _files: Files
    _local: LocalFiles

    async def find_asset(self, asset_id: str) -> Asset:
        """Return an asset.

        Raises:
            NotFoundError: There is none with this id, or it is someone else's.
        """
        return await self._assets.find(asset_id)

    async def paginate_assets(
        self, parent_id: str | None = None, page_size: int = 100, cursor: str | None = None
    ) -> AssetList:
        """Return a page of the assets in a folder, or at the top level."""
        return await self._assets.page(parent_id=parent_id, page_size=page_size, cursor=cursor)

    async def list_assets(self, **filters: Any) -> AssetList:
        """Return a page of assets.

        Args:
            filters: `parent_id, workflow_id, job_id, content_type` (exact, or a prefix such as
                `image/`), `q` (in the name), `recursive, urls, page_size, cursor`.
        """
        return await self._assets.page(**filters)

    def iter_assets(self, **filters: Any) -> AsyncIterator[Asset]:
        """Iterate over the assets of all pages; filters as in `list_assets`."""
        return self._assets.each(**filters)

    async def create_asset(
        self,
        name: str,
        content_type: str,
        content: Content,
        parent_id: str | None = None,
        *,
        metadata: dict[str, Any] | None = None,
        progress: bool | Progress | None = None,
    ) -> Asset:
        """Upload a file.

        Up to 1 MiB goes through the service (small files that are made at the same time in one
        request), what is larger straight to storage: up to 64 MiB at once, above in parallel parts.
        The SHA-256 is sent along and checked. After a crash or a lost connection above 64 MiB, the
        same call within a day goes on where it ended: what counts is that name, content and the
        other arguments are the same. A call after one that finished makes another asset.

        Args:
            name: What people call it.
            content_type: Its media type.
            content: A binary file object (read from its start, not closed), bytes, or a path.
            parent_id: A folder.
            metadata: Kept with it.
            progress: True for a bar, or called with (bytes done, bytes in all).
        """
        return await self._assets.create(
            given(name, "name"),
            given(content_type, "content_type"),
            content,
            parent_id,
            metadata=metadata,
            progress=progress,
        )

    async def create_folder(self, name: str, parent_id: str | None = None) -> Asset:
        """Make a folder."""
        return await self._assets.create_folder(name, parent_id)

    async def update_asset(self, asset_id: str, **changes: Any) -> Asset:
        """Change `name, parent_id, metadata` or `content_type`."""
        return await self._assets.update(asset_id, AssetUpdate.model_validate(changes))

    async def delete_asset(self, asset_id: str, *, recursive: bool = False) -> None:
        """Delete an asset; a folder that is not empty only with `recursive`."""
        await self._assets.delete(asset_id, recursive=recursive)

    async def download_asset(
        self, asset_id: str, *, progress: bool | Progress | None = None
    ) -> IO[bytes]:
        """Return the bytes as a seekable file, in memory up to 16 MiB, else on disk.

        Their SHA-256 is compared where the service knows it.
        """
        return await self._assets.download(asset_id, progress=progress)

    async def save_asset(
        self,
        asset_id: str,
        path: str | os.PathLike[str],
        *,
        on_existing: OnExisting = "fail",
        progress: bool | Progress | None = None,
    ) -> Path:
        """Download into a local file; return its path.

        Under its name it is there whole or not at all.

        Args:
            asset_id: The asset.
            path: A file, or a folder that gets a file of the asset's name.
            on_existing: `"fail"`, `"skip"` or `"overwrite"`.
            progress: True for a bar, or called with (bytes done, bytes in all).

        Raises:
            FileExistsError: It exists.
        """
        return await self._local.save(asset_id, path, on_existing, progress)

    async def upload_folder(
        self,
        path: str | os.PathLike[str],
        parent_id: str | None = None,
        *,
        progress: bool | Progress | None = None,
    ) -> Asset:
        """Upload a local folder with all that is in it; return the folder that was made.

        Links are neither followed nor uploaded; each is named by a warning in the log.

        Raises:
            NotADirectoryError: There is no such folder.
            ValueError: A name is not UTF-8.
        """
        return await self._local.upload_folder(path, parent_id, progress)

    async def download_folder(
        self,
        asset_id: str,
        path: str | os.PathLike[str],
        *,
        on_existing: OnExisting = "fail",
        progress: bool | Progress | None = None,
    ) -> Path:
        """Download what is in a folder, at any depth, into a local folder; return its path.

        Characters of a name that a file name cannot have become `%` and hex; of two that are
        named alike the second becomes `name (2)`.

        Args:
            asset_id: The folder.
            path: The local folder, made if it is not there.
            on_existing: `"fail"` (before anything is written), `"skip"` or `"overwrite"`.
            progress: True for a bar, or called with (bytes done, bytes in all).

        Raises:
            FileExistsError: A file exists, or a link is in the way.
            ValueError: It is no folder, or a name is too long.
        """
        return await self._local.download_folder(asset_id, path, on_existing, progress)

    async def get_asset_url(
        self, asset_id: str, *, expires_in: int | None = None, download: bool = False
    ) -> str:
        """Return a presigned URL of an asset.

        Args:
            asset_id: The asset.
            expires_in: Seconds, up to a week; an hour by default.
            download: Whether a browser saves it instead of showing it.
        """
        return await self._assets.url(asset_id, expires_in=expires_in, download=download)

    async def refresh_uri(self, asset: Any) -> Any:
        """Set `uri` of a ref to a fresh presigned URL; return the ref."""
        return await self._files.refresh(asset)

    def asset_storage_url(self, key: str) -> str:
        """Return the stable URL of an asset by its id or file name."""
        return f"{self._http.base_url}/v1/storage/assets/{given(key, 'key')}"

    def temp_storage_url(self, key: str) -> str:
        """Return the stable URL of a temporary file by its id."""
        return f"{self._http.base_url}/v1/storage/temp/{given(key, 'key')}"

    async def asset_to_io(self, asset_ref: Any) -> IO[bytes]:
        """Return the bytes that a ref names: its `data`, else its `asset_id`, else its `uri`.

        Raises:
            ValueError: The ref is empty.
        """
        return await self._files.open_ref(asset_ref)

    async def asset_to_bytes(self, asset_ref: Any) -> bytes:
        """Return the bytes that a ref names, as `asset_to_io`."""
        with await self._files.open_ref(asset_ref) as file:
            return await self._network.byte_path.run(file.read)
