"""Assets: files and folders of the user."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import IO, Any

from processing_context._bytes import Bytes
from processing_context._content import Content, OpenContent, opened
from processing_context._download import SPOOL_BYTES
from processing_context._http import Http, dumps, segment
from processing_context._progress import shown
from processing_context._transfer import Progress
from processing_context.errors import ContextError
from processing_context.wire.assets import (
    FOLDER,
    Asset,
    AssetCreate,
    AssetList,
    AssetUpdate,
    MultipartUpload,
    PresignedUrl,
    PutUpload,
    UploadCreate,
    UploadReserved,
)

logger = logging.getLogger(__name__)

DIRECT_BYTES = 1024 * 1024
"""Up to this size one request to the service carries the bytes; above it they go to storage."""

HASHED_BYTES = SPOOL_BYTES
"""Up to this size storage checks the SHA-256; reading larger files twice would cost too much."""


class Assets:
    """The routes under `/v1/assets`.

    Args:
        http: The API calls.
        transport: The bytes.
        origin: `workflow_id` and `node_id` of what is created here.
    """

    def __init__(self, http: Http, transport: Bytes, origin: Mapping[str, str | None]) -> None:
        self._http = http
        self._bytes = transport
        self._origin = origin

    async def find(self, asset_id: str) -> Asset:
        """Return one asset."""
        return await self._http.get(f"/v1/assets/{_id(asset_id)}", Asset)

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
            async with opened(content, self._bytes) as source:
                if source.size <= DIRECT_BYTES:
                    return await self._send(asset, source, tell)
                return await self._upload(fields, source, tell)

    async def create_folder(self, name: str, parent_id: str | None = None) -> Asset:
        """Make a folder."""
        folder = AssetCreate.model_validate(
            {"name": name, "content_type": FOLDER, "parent_id": parent_id, **self._origin}
        )
        return await self._form([("json", (None, dumps(folder), "application/json"))])

    async def update(self, asset_id: str, changes: AssetUpdate) -> Asset:
        """Change what is set in `changes`."""
        response = await self._http.request(
            "PATCH",
            f"/v1/assets/{_id(asset_id)}",
            content=dumps(changes.model_dump(exclude_unset=True)),
            is_json=True,
        )
        return Asset.model_validate_json(response.content)

    async def delete(self, asset_id: str, *, recursive: bool = False) -> None:
        """Delete an asset; of a folder that is not empty only with `recursive`."""
        params = {"recursive": "true"} if recursive else None
        await self._http.request("DELETE", f"/v1/assets/{_id(asset_id)}", params=params)

    async def url(self, asset_id: str) -> str:
        """Return a presigned URL."""
        signed = await self._http.get(f"/v1/assets/{_id(asset_id)}/url", PresignedUrl)
        return signed.url

    async def download(
        self, asset_id: str, *, progress: bool | Progress | None = None
    ) -> IO[bytes]:
        """Return the bytes as a seekable file, on disk above 16 MiB.

        Raises:
            ContextError: It has no bytes: a folder, or an upload that is not complete.
        """
        asset = await self.find(asset_id)
        if asset.get_url is None:
            what = "a folder" if asset.content_type == FOLDER else asset.status
            raise ContextError(f"asset {asset_id} has no content: it is {what}")
        with shown(progress, asset.name) as tell:
            download = await self._bytes.get(
                asset.get_url,
                renew=lambda: self.url(asset_id),
                sha256=asset.sha256,
                progress=tell,
            )
        return download.file

    async def _send(
        self, asset: AssetCreate, source: OpenContent, progress: Progress | None
    ) -> Asset:
        data = await self._bytes.run(source.read_all)
        made = await self._form(
            [
                ("json", (None, dumps(asset), "application/json")),
                ("file", ("file", data, asset.content_type)),
            ]
        )
        if progress:
            progress(source.size, source.size)
        return made

    async def _form(self, parts: list[tuple[str, Any]]) -> Asset:
        response = await self._http.request("POST", "/v1/assets", files=parts, creates=True)
        return Asset.model_validate_json(response.content)

    async def _upload(
        self, fields: dict[str, Any], source: OpenContent, progress: Progress | None
    ) -> Asset:
        is_hashed = source.size <= HASHED_BYTES
        sha256 = await self._bytes.run(source.sha256) if is_hashed else None
        upload = UploadCreate.model_validate(fields | {"size": source.size, "sha256": sha256})
        reserved = await self._http.post(
            "/v1/assets/uploads", UploadReserved, body=upload, creates=True
        )
        path = f"/v1/assets/{reserved.asset.id}"
        try:
            await self._put(reserved.upload, source, progress)
            return await self._http.post(f"{path}/complete", Asset, body={})
        except BaseException:
            await self._abort(path)
            raise

    async def _put(
        self, upload: PutUpload | MultipartUpload, source: OpenContent, progress: Progress | None
    ) -> None:
        if isinstance(upload, MultipartUpload):
            raise ContextError("the service wants the file in parts: this client is too old for it")
        await self._bytes.put(
            upload.url, source.file, source.size, headers=upload.headers, progress=progress
        )

    async def _abort(self, path: str) -> None:
        """Take back a reservation that will not be used; the service does it later by itself."""
        try:
            await self._http.request("DELETE", f"{path}/upload", timeout_s=5, patience_s=0)
        except ContextError as exc:
            logger.debug("could not take back %s: %s", path, exc)


def _id(asset_id: str) -> str:
    return segment(asset_id, "asset_id")


def _query(filters: dict[str, Any]) -> dict[str, Any]:
    return {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in filters.items()
    }
