"""Assets: files and folders of the user."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import IO, Any

from processing_context._batched_assets import SmallFiles
from processing_context._progress import shown
from processing_context._transport.api import Http, dumps, segment
from processing_context._transport.bulk import Bytes
from processing_context._transport.content import Content, opened
from processing_context._transport.download import SPOOL_BYTES
from processing_context._transport.ranges import Changed, fetch, on_disk
from processing_context._transport.transfer import Progress
from processing_context.errors import ContextError
from processing_context.resources.uploads import Uploads
from processing_context.wire.assets import (
    FOLDER,
    Asset,
    AssetCreate,
    AssetList,
    AssetUpdate,
    PresignedUrl,
)

DIRECT_BYTES = 1024 * 1024
"""Up to this size one request to the service carries the bytes; above it they go to storage."""

_MOST_REPLACEMENTS = 5


class Assets:
    """The routes under `/v1/assets`.

    Args:
        http: The API calls.
        transport: The bytes.
        small: Makes small assets and finds assets.
        origin: `workflow_id` and `node_id` of what is created here.
    """

    def __init__(
        self, http: Http, transport: Bytes, small: SmallFiles, origin: Mapping[str, str | None]
    ) -> None:
        self._http = http
        self._bytes = transport
        self._small = small
        self._origin = origin
        self._uploads = Uploads(http, transport)

    async def find(self, asset_id: str) -> Asset:
        """Return one asset."""
        return await self._small.find(asset_id)

    async def page(self, **filters: Any) -> AssetList:
        """Return one page; the filters are the route's query parameters."""
        return await self._http.get("/v1/assets", AssetList, params=_query(filters))

    async def each(self, **filters: Any) -> AsyncIterator[Asset]:
        """Yield all assets of all pages."""
        page = await self.page(**filters)
        while True:
            for asset in page.assets:
                yield asset
            if page.next is None:
                return
            page = await self.page(**filters | {"cursor": page.next})

    async def create(
        self,
        name: str,
        content_type: str,
        content: Content,
        parent_id: str | None = None,
        *,
        metadata: dict[str, Any] | None = None,
        progress: bool | Progress | None = None,
    ) -> Asset:
        """Upload a file; see `ProcessingContext.create_asset`."""
        fields = {
            "name": name,
            "content_type": content_type,
            "parent_id": parent_id,
            "metadata": metadata or {},
            **self._origin,
        }
        if content_type == FOLDER:
            raise ValueError("a folder has no content: use create_folder")
        asset = AssetCreate.model_validate(fields)
        with shown(progress, name) as tell:
            if isinstance(content, bytes) and len(content) <= DIRECT_BYTES:
                return await self._send(asset, content, tell)
            async with opened(content, self._bytes) as source:
                if source.size <= DIRECT_BYTES:
                    data = await self._bytes.run(source.read_all)
                    return await self._send(asset, data, tell)
                return await self._uploads.create(fields, source, tell)

    async def create_folder(self, name: str, parent_id: str | None = None) -> Asset:
        """Make a folder."""
        folder = AssetCreate.model_validate(
            {"name": name, "content_type": FOLDER, "parent_id": parent_id, **self._origin}
        )
        return await self._small.create_folder(folder)

    async def update(self, asset_id: str, changes: AssetUpdate) -> Asset:
        """Change what is set in `changes`."""
        answered = await self._http.request(
            "PATCH",
            f"/v1/assets/{_id(asset_id)}",
            content=dumps(changes.model_dump(exclude_unset=True)),
            is_json=True,
        )
        return Asset.model_validate_json(answered.body)

    async def delete(self, asset_id: str, *, recursive: bool = False) -> None:
        """Delete an asset; of a folder that is not empty only with `recursive`."""
        params = {"recursive": "true"} if recursive else None
        await self._http.request("DELETE", f"/v1/assets/{_id(asset_id)}", params=params)

    async def url(
        self, asset_id: str, *, expires_in: int | None = None, download: bool = False
    ) -> str:
        """Return a presigned URL."""
        params = {"expires_in": expires_in, "download": "true" if download else None}
        path = f"/v1/assets/{_id(asset_id)}/url"
        return (await self._http.get(path, PresignedUrl, params=params)).url

    async def download(
        self, asset_id: str, *, progress: bool | Progress | None = None
    ) -> IO[bytes]:
        """Return the bytes as a seekable file, on disk above 16 MiB.

        Raises:
            ContextError: It has no bytes: a folder, or an upload that is not complete.
        """
        asset = await self.find(asset_id)
        with shown(progress, asset.name) as tell:
            return await self.open(asset, tell)

    async def open(self, asset: Asset, progress: Progress | None) -> IO[bytes]:
        """Return the bytes of an asset that was just found."""
        if (data := await self._small.read(asset)) is not None:
            if progress is not None:
                progress(asset.size, asset.size)
            return io.BytesIO(data)
        if asset.size > SPOOL_BYTES and asset.status == "ready":
            raw = on_disk()
            try:
                await self.download_into(raw, asset, progress)
            except BaseException:
                raw.close()
                raise
            file = io.BufferedRandom(raw)
            file.seek(0)
            return file
        download = await self._bytes.get(
            _url(asset),
            renew=lambda: self.url(asset.id),
            sha256=asset.sha256,
            progress=progress,
        )
        return download.file

    async def download_into(self, file: io.FileIO, asset: Asset, progress: Progress | None) -> None:
        """Write the bytes of an asset into an empty, unbuffered file.

        Where they are replaced meanwhile, the new ones: never some of both.
        """
        for _ in range(_MOST_REPLACEMENTS):
            try:
                await fetch(
                    self._bytes,
                    _url(asset),
                    file,
                    asset.size,
                    sha256=asset.sha256,
                    renew=partial(self.url, asset.id),
                    progress=progress,
                )
            except Changed:
                asset = await self.find(asset.id)
                await self._bytes.run(file.truncate, 0)
            else:
                return
        raise ContextError(f"asset {asset.id} is being replaced faster than it can be downloaded")

    async def _send(self, asset: AssetCreate, data: bytes, progress: Progress | None) -> Asset:
        made = await self._small.create(asset, data)
        if progress:
            progress(len(data), len(data))
        return made


def _url(asset: Asset) -> str:
    if asset.get_url is None:
        what = "a folder" if asset.content_type == FOLDER else asset.status
        raise ContextError(f"asset {asset.id} has no content: it is {what}")
    return asset.get_url


def _id(asset_id: str) -> str:
    return segment(asset_id, "asset_id")


def _query(filters: dict[str, Any]) -> dict[str, Any]:
    return {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in filters.items()
    }
