"""Routes under `/v1/assets`: files and folders of the user."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import IO, Any

from processing_context._arguments import given
from processing_context._progress import shown
from processing_context._transport.api import dumps, segment, transfer_headers
from processing_context._transport.content import Content, opened
from processing_context._transport.download import SPOOL_BYTES
from processing_context._transport.ranges import Changed, fetch, on_disk
from processing_context._transport.transfer import Progress
from processing_context._uploads import DIRECT_BYTES, Uploads
from processing_context.errors import ContextError
from processing_context.resources.resource import Resource
from processing_context.wire.assets import (
    FOLDER,
    Asset,
    AssetCreate,
    AssetList,
    AssetUpdate,
    PresignedUrl,
)

_MAX_REPLACEMENTS = 5


class AssetMethods(Resource):
    """Files and folders of the user."""

    async def find_asset(self, asset_id: str) -> Asset:
        """Return an asset.

        Raises:
            NotFoundError: The asset does not exist, or belongs to another user.
        """
        return await self._core.batched_assets.find(asset_id)

    async def paginate_assets(
        self, parent_id: str | None = None, page_size: int = 100, cursor: str | None = None
    ) -> AssetList:
        """Return a page of the assets in a folder, or at the top level."""
        return await self.list_assets(parent_id=parent_id, page_size=page_size, cursor=cursor)

    async def list_assets(self, **filters: Any) -> AssetList:
        """Return a page of assets.

        Args:
            filters: `parent_id, workflow_id, job_id, content_type` (exact, or a prefix such as
                `image/`), `q` (part of the name), `recursive, urls, page_size, cursor`.
        """
        return await self._page(filters)

    async def iter_assets(self, **filters: Any) -> AsyncIterator[Asset]:
        """Iterate over the assets of all pages; filters as in `list_assets`."""
        async for asset in self._iter_pages(filters):
            yield asset

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

        Files up to 1 MiB are sent to the service (concurrent small files in one request), larger
        files straight to storage, above 64 MiB in parallel parts. The SHA-256 is sent along and
        verified. After a crash or a lost connection, an upload above 64 MiB is resumed by the same
        call within a day, with the same name, content and other arguments. A call after one that
        finished creates another asset.

        Args:
            name: Display name.
            content_type: Media type.
            content: A binary file object (read from its start, not closed), bytes, or a path.
            parent_id: Id of a folder.
            metadata: Stored with the asset.
            progress: True for a bar, or a callable that receives (bytes done, total bytes).
        """
        given(name, "name")
        if given(content_type, "content_type") == FOLDER:
            raise ValueError("content_type= must not be 'folder': use create_folder")
        fields = self._asset_fields(name, content_type, parent_id) | {"metadata": metadata or {}}
        draft = AssetCreate.model_validate(fields)
        with shown(progress, name) as report:
            if isinstance(content, bytes) and len(content) <= DIRECT_BYTES:
                return await self._create_small_asset(draft, content, report)
            async with opened(content, self._core.bulk) as source:
                if source.size <= DIRECT_BYTES:
                    data = await self._core.bulk.run(source.read_all)
                    return await self._create_small_asset(draft, data, report)
                uploads = Uploads(self._core.api, self._core.bulk)
                return await uploads.create(fields, source, report)

    async def create_folder(self, name: str, parent_id: str | None = None) -> Asset:
        """Create a folder."""
        folder = AssetCreate.model_validate(self._asset_fields(name, FOLDER, parent_id))
        return await self._core.batched_assets.create_folder(folder)

    async def update_asset(self, asset_id: str, **changes: Any) -> Asset:
        """Change `name, parent_id, metadata` or `content_type`."""
        update = AssetUpdate.model_validate(changes)
        answered = await self._core.api.request(
            "PATCH",
            _path(asset_id),
            content=dumps(update.model_dump(exclude_unset=True)),
            is_json=True,
        )
        return Asset.model_validate_json(answered.body)

    async def delete_asset(self, asset_id: str, *, recursive: bool = False) -> None:
        """Delete an asset; a folder with contents only if `recursive` is true."""
        params = {"recursive": "true"} if recursive else None
        await self._core.api.request("DELETE", _path(asset_id), params=params)

    async def download_asset(
        self, asset_id: str, *, progress: bool | Progress | None = None
    ) -> IO[bytes]:
        """Return the content as a seekable file, in memory up to 16 MiB, else on disk.

        The SHA-256 is verified if the service has it.

        Raises:
            ContextError: The asset has no content: it is a folder, or its upload is not complete.
        """
        asset = await self._core.downloads.find(asset_id)
        with shown(progress, asset.name) as report:
            return await self._open_asset(asset, report)

    async def get_asset_url(
        self, asset_id: str, *, expires_in: int | None = None, download: bool = False
    ) -> str:
        """Return a presigned URL of an asset.

        Args:
            asset_id: Id of the asset.
            expires_in: Lifetime in seconds, up to a week; by default an hour.
            download: Make browsers save the file instead of showing it.
        """
        params = {"expires_in": expires_in, "download": "true" if download else None}
        return await self._presigned_asset_url(asset_id, params=params)

    def asset_storage_url(self, key: str) -> str:
        """Return the stable URL of an asset by its id or file name."""
        return f"{self._core.api.base_url}/v1/storage/assets/{given(key, 'key')}"

    async def _iter_pages(
        self, filters: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Asset]:
        page = await self._page(filters, headers)
        while True:
            for asset in page.assets:
                yield asset
            if page.next is None:
                return
            page = await self._page(filters | {"cursor": page.next}, headers)

    async def _page(
        self, filters: dict[str, Any], headers: Mapping[str, str] | None = None
    ) -> AssetList:
        params = _query(filters)
        return await self._core.api.get("/v1/assets", AssetList, params=params, headers=headers)

    async def _presigned_asset_url(self, asset_id: str, **options: Any) -> str:
        path = f"{_path(asset_id)}/url"
        return (await self._core.api.get(path, PresignedUrl, **options)).url

    def _renew_download(self, asset: Asset) -> Callable[[], Awaitable[str]]:
        return partial(self._presigned_asset_url, asset.id, headers=transfer_headers())

    def _asset_fields(self, name: str, content_type: str, parent_id: str | None) -> dict[str, Any]:
        return {
            "name": name,
            "content_type": content_type,
            "parent_id": parent_id,
            "workflow_id": self.workflow_id or None,
            "node_id": self.node_id,
        }

    async def _create_small_asset(
        self, draft: AssetCreate, data: bytes, progress: Progress | None
    ) -> Asset:
        created = await self._core.batched_assets.create(draft, data)
        if progress:
            progress(len(data), len(data))
        return created

    async def _open_asset(self, asset: Asset, progress: Progress | None) -> IO[bytes]:
        """Return the content of an asset that was just found."""
        if (data := await self._core.batched_assets.read(asset)) is not None:
            if progress is not None:
                progress(asset.size, asset.size)
            return io.BytesIO(data)
        if asset.size > SPOOL_BYTES and asset.status == "ready":
            return await self._asset_on_disk(asset, progress)
        download = await self._core.bulk.get(
            _content_url(asset),
            renew=self._renew_download(asset),
            sha256=asset.sha256,
            progress=progress,
        )
        return download.file

    async def _asset_on_disk(self, asset: Asset, progress: Progress | None) -> IO[bytes]:
        raw = on_disk()
        try:
            await self._download_asset_into(raw, asset, progress)
        except BaseException:
            raw.close()
            raise
        file = io.BufferedRandom(raw)
        file.seek(0)
        return file

    async def _download_asset_into(
        self, file: io.FileIO, asset: Asset, progress: Progress | None
    ) -> None:
        """Write the content of an asset into an empty, unbuffered file.

        If it is replaced during the download, the new content is written, never a mix of both.
        """
        for _ in range(_MAX_REPLACEMENTS):
            try:
                await fetch(
                    self._core.bulk,
                    _content_url(asset),
                    file,
                    asset.size,
                    sha256=asset.sha256,
                    renew=self._renew_download(asset),
                    progress=progress,
                )
            except Changed:
                asset = await self._core.downloads.find(asset.id)
                await self._core.bulk.run(file.truncate, 0)
            else:
                return
        raise ContextError(f"asset {asset.id} was replaced too often during the download")


def _content_url(asset: Asset) -> str:
    if asset.get_url is None:
        what = "a folder" if asset.content_type == FOLDER else asset.status
        raise ContextError(f"asset {asset.id} has no content: it is {what}")
    return asset.get_url


def _path(asset_id: str) -> str:
    return f"/v1/assets/{segment(asset_id, 'asset_id')}"


def _query(filters: dict[str, Any]) -> dict[str, Any]:
    return {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in filters.items()
    }
