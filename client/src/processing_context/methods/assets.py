"""Assets and what refs name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import IO, Any

from processing_context._bytes import Bytes
from processing_context._content import Content
from processing_context._http import Http
from processing_context._transfer import Progress
from processing_context.assets import Assets
from processing_context.files import Files
from processing_context.wire.assets import Asset, AssetList, AssetUpdate


class AssetMethods:
    """Files and folders of the user."""

    _http: Http
    _bytes: Bytes
    _assets: Assets
    _files: Files

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

        Up to 1 MiB goes through the service; what is larger goes straight to storage, in blocks of
        1 MiB. Up to 16 MiB the SHA-256 is sent along and checked by storage.

        Args:
            name: What people call it.
            content_type: Its media type.
            content: A binary file object (read from its start, not closed), bytes, or a path.
            parent_id: A folder.
            metadata: Kept with it.
            progress: True for a bar, or called with (bytes done, bytes in all).
        """
        return await self._assets.create(
            name, content_type, content, parent_id, metadata=metadata, progress=progress
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
        """Return the bytes as a seekable file, in memory up to 16 MiB, else on disk."""
        return await self._assets.download(asset_id, progress=progress)

    async def get_asset_url(self, asset_id: str) -> str:
        """Return a presigned URL of an asset."""
        return await self._assets.url(asset_id)

    async def refresh_uri(self, asset: Any) -> Any:
        """Set `uri` of a ref to a fresh presigned URL; return the ref."""
        return await self._files.refresh(asset)

    def asset_storage_url(self, key: str) -> str:
        """Return the stable URL of an asset by its id or file name."""
        return f"{self._http.base_url}/v1/storage/assets/{key}"

    def temp_storage_url(self, key: str) -> str:
        """Return the stable URL of a temporary file by its id."""
        return f"{self._http.base_url}/v1/storage/temp/{key}"

    async def asset_to_io(self, asset_ref: Any) -> IO[bytes]:
        """Return the bytes that a ref names: its `data`, else its `asset_id`, else its `uri`.

        Raises:
            ValueError: The ref is empty.
        """
        return await self._files.open_ref(asset_ref)

    async def asset_to_bytes(self, asset_ref: Any) -> bytes:
        """Return the bytes that a ref names, as `asset_to_io`."""
        with await self._files.open_ref(asset_ref) as file:
            return await self._bytes.run(file.read)
