"""Routes under `/v1/temp`: temporary files, deleted after a day."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import IO
from urllib.parse import unquote, urlsplit

from processing_context._arguments import given
from processing_context._core import Core
from processing_context._transport.api import transfer_headers
from processing_context._transport.content import Content, OpenContent, opened
from processing_context._uploads import DIRECT_BYTES
from processing_context.errors import ContextError
from processing_context.resources.resource import Resource
from processing_context.wire.assets import TempAsset, TempUploadCreate

STABLE_PATH = "/v1/storage/temp/"
"""Prefix of URIs that are valid as long as the file; the id follows."""

_ID = re.compile(r"[0-9a-f]{32}(\.[A-Za-z0-9]{1,16})?")


def temp_id_of(value: str) -> str:
    """Return the id of a temporary file, given its id or any of its URLs.

    Raises:
        ValueError: The value is neither.
    """
    path = unquote(urlsplit(given(value, "temp_id")).path)
    last = path.removesuffix("/content").rsplit("/", 1)[-1]
    if not _ID.fullmatch(last):
        raise ValueError(
            f"temp_id= is not an id or URL of a file: {value.split('?', maxsplit=1)[0]!r}"
        )
    return last


class TempMethods(Resource):
    """Temporary files."""

    async def create_temp_asset(self, content: Content, ext: str = "") -> str:
        """Store a file for a day; return a presigned URL."""
        temp = await self._create_temp(content, ext)
        return temp.get_url or await self._presigned_temp_url(temp.id)

    async def download_temp_asset(self, temp_id: str) -> IO[bytes]:
        """Return the content of a temporary file, given its id or any of its URLs."""
        renew = partial(self._presigned_temp_url, temp_id, transfer_headers())
        return (await self._core.bulk.get(await renew(), renew=renew)).file

    def temp_storage_url(self, key: str) -> str:
        """Return the stable URL of a temporary file by its id."""
        return f"{self._core.api.base_url}{STABLE_PATH}{given(key, 'key')}"

    async def _create_temp(self, content: Content, ext: str) -> TempAsset:
        draft = TempUploadCreate(ext=ext)
        async with opened(content, self._core.bulk) as source:
            send = _send_directly if source.size <= DIRECT_BYTES else _send_to_storage
            return await send(self._core, draft, source)

    async def _store_temp(self, content: Content, ext: str) -> str:
        """Store a file for a day; return its stable URI."""
        return STABLE_PATH + (await self._create_temp(content, ext)).id

    async def _presigned_temp_url(
        self, temp_id: str, headers: Mapping[str, str] | None = None
    ) -> str:
        path = f"/v1/temp/{temp_id_of(temp_id)}"
        temp = await self._core.api.get(path, TempAsset, headers=headers)
        if temp.get_url is None:
            raise ContextError(f"temporary file {temp.id} has no URL to read it from")
        return temp.get_url


async def _send_directly(core: Core, draft: TempUploadCreate, source: OpenContent) -> TempAsset:
    answered = await core.api.request(
        "POST",
        "/v1/temp",
        params={"ext": draft.ext or None},
        content=await core.bulk.run(source.read_all),
        headers={"Content-Type": "application/octet-stream"},
        creates=True,
    )
    return TempAsset.model_validate_json(answered.body)


async def _send_to_storage(core: Core, draft: TempUploadCreate, source: OpenContent) -> TempAsset:
    body = draft.model_copy(update={"size": source.size})
    own = transfer_headers()
    temp = await core.api.post("/v1/temp/uploads", TempAsset, body=body, creates=True, headers=own)
    if temp.put_url is None:
        raise ContextError(f"temporary file {temp.id} has no URL to write it to")
    headers = {"Content-Type": temp.content_type}
    await core.bulk.put(temp.put_url, source.file, source.size, headers=headers)
    return temp.model_copy(update={"get_url": None}) if own else temp  # its URLs are not public
