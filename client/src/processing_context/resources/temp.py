"""Temporary files: gone after a day."""

from __future__ import annotations

import re
from typing import IO
from urllib.parse import unquote, urlsplit

from processing_context._arguments import given
from processing_context._transport.api import Http
from processing_context._transport.bulk import Bytes
from processing_context._transport.content import Content, OpenContent, opened
from processing_context.errors import ContextError
from processing_context.resources.assets import DIRECT_BYTES
from processing_context.wire.assets import TempAsset, TempUploadCreate

STABLE_PATH = "/v1/storage/temp/"
"""With the id behind it: a URI that stays right as long as the file lives."""

_ID = re.compile(r"[0-9a-f]{32}(\.[A-Za-z0-9]{1,16})?")


def temp_id_of(value: str) -> str:
    """Return the id of a temporary file, given that or any URL of it.

    Raises:
        ValueError: It is neither.
    """
    path = unquote(urlsplit(given(value, "temp_id")).path)
    last = path.removesuffix("/content").rsplit("/", 1)[-1]
    if not _ID.fullmatch(last):
        raise ValueError(f"not a temporary file: {value.split('?', maxsplit=1)[0]!r}")
    return last


class TempFiles:
    """The routes under `/v1/temp`."""

    def __init__(self, http: Http, transport: Bytes) -> None:
        self._http = http
        self._bytes = transport

    async def create(self, content: Content, ext: str = "") -> TempAsset:
        """Store a file; see `ProcessingContext.create_temp_asset`."""
        wanted = TempUploadCreate(ext=ext)
        async with opened(content, self._bytes) as source:
            if source.size <= DIRECT_BYTES:
                return await self._send(wanted, source)
            return await self._upload(wanted, source)

    async def find(self, temp_id: str) -> TempAsset:
        """Return one, with a fresh URL."""
        return await self._http.get(f"/v1/temp/{temp_id_of(temp_id)}", TempAsset)

    async def download(self, temp_id: str) -> IO[bytes]:
        """Return the bytes as a seekable file, on disk above 16 MiB."""
        download = await self._bytes.get(await self.url(temp_id), renew=lambda: self.url(temp_id))
        return download.file

    async def url(self, temp_id: str) -> str:
        """Return a presigned URL."""
        temp = await self.find(temp_id)
        if temp.get_url is None:
            raise ContextError(f"temporary file {temp.id} has no URL to read it from")
        return temp.get_url

    async def _send(self, wanted: TempUploadCreate, source: OpenContent) -> TempAsset:
        answered = await self._http.request(
            "POST",
            "/v1/temp",
            params={"ext": wanted.ext or None},
            content=await self._bytes.run(source.read_all),
            headers={"Content-Type": "application/octet-stream"},
            creates=True,
        )
        return TempAsset.model_validate_json(answered.body)

    async def _upload(self, wanted: TempUploadCreate, source: OpenContent) -> TempAsset:
        body = wanted.model_copy(update={"size": source.size})
        temp = await self._http.post("/v1/temp/uploads", TempAsset, body=body, creates=True)
        if temp.put_url is None:
            raise ContextError(f"temporary file {temp.id} has no URL to write it to")
        headers = {"Content-Type": temp.content_type}
        await self._bytes.put(temp.put_url, source.file, source.size, headers=headers)
        return temp
