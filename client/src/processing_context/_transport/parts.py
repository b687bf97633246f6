"""Multipart upload of one file: verify the parts that storage has, send the others."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

from processing_context._transport.api import Api, transfer_headers
from processing_context._transport.bulk import RUN_OUT, Bulk
from processing_context._transport.connections import Target
from processing_context._transport.content import OpenContent
from processing_context._transport.hashing import FollowingHash
from processing_context._transport.parallel import PARTS_AT_ONCE, in_parallel
from processing_context._transport.transfer import Progress
from processing_context.errors import ContextError, HTTPStatusError
from processing_context.wire.assets import (
    CompletedPart,
    MultipartState,
    MultipartUpload,
    StoredPart,
    UploadComplete,
    UploadPart,
)

_URLS_AT_ONCE = 100

T = TypeVar("T")


class AnotherContent(ContextError):
    """The stored parts of an upload belong to another file."""


class Parts:
    """Multipart upload of one content.

    Args:
        api: The API client.
        bulk: Connections for the bytes.
        path: Route of the upload.
        upload: The part sizes and URLs.
        source: The content.
        progress: Called as bytes are sent.
    """

    def __init__(
        self,
        api: Api,
        bulk: Bulk,
        path: str,
        upload: MultipartUpload,
        source: OpenContent,
        progress: Progress | None,
    ) -> None:
        self._api = api
        self._bulk = bulk
        self._path = path
        self._part_size = upload.part_size
        self._part_count = upload.part_count
        self._source = source
        self._progress = progress
        self._hash = FollowingHash(source.read_at, self._stored_from)
        self._etags: dict[int, str] = {}
        self._sent: dict[int, int] = {}

    async def put(self) -> UploadComplete:
        """Upload the missing parts; return the request that completes the upload.

        Raises:
            AnotherContent: The stored parts belong to another file; nothing was sent.
        """
        state = await self._state(1, _URLS_AT_ONCE)
        await in_parallel(_each(state.stored), self._verify_stored, at_once=PARTS_AT_ONCE)
        self._report()
        await in_parallel(self._missing(state), self._put, at_once=PARTS_AT_ONCE)
        await self._bulk.work(self._hash.go_on)
        return UploadComplete(
            parts=[
                CompletedPart(part_number=number, etag=etag)
                for number, etag in sorted(self._etags.items())
            ],
            sha256=self._hash.hexdigest(),
        )

    async def _missing(self, state: MultipartState) -> AsyncIterator[UploadPart]:
        for first in range(1, self._part_count + 1, _URLS_AT_ONCE):
            if first > 1:
                state = await self._state(first, _URLS_AT_ONCE)
            for part in state.parts:
                yield part

    async def _state(self, first: int, count: int) -> MultipartState:
        params = {"from": first, "limit": count}
        headers = transfer_headers()
        return await self._api.get(self._path, MultipartState, params=params, headers=headers)

    async def _verify_stored(self, stored: StoredPart) -> None:
        number = stored.part_number
        size = self._size(number)
        if stored.size != size or stored.etag.strip('"') != (await self._md5(number)).hex():
            raise AnotherContent(f"stored part {number} belongs to another file")
        self._sent[number] = size
        self._etags[number] = stored.etag
        self._report()

    async def _put(self, part: UploadPart) -> None:
        number, size = part.part_number, self._size(part.part_number)
        piece = self._source.slice(self._start(number), size)
        headers: dict[str, str] = {}
        if not Target(part.url).is_guarded:
            headers["Content-MD5"] = base64.b64encode(await self._md5(number)).decode()

        def report(done: int, _total: int) -> None:
            self._sent[number] = done
            self._report()

        async def put(url: str) -> str:
            return await self._bulk.put(url, piece, size, headers=headers, progress=report)

        try:
            etag = await put(part.url)
        except HTTPStatusError as exc:
            if exc.status not in RUN_OUT:
                raise
            fresh = (await self._state(number, 1)).parts
            if not fresh:
                raise
            etag = await put(fresh[0].url)
        self._etags[number] = etag
        await self._bulk.work(self._hash.go_on)

    async def _md5(self, number: int) -> bytes:
        return await self._bulk.work(self._source.md5, self._start(number), self._size(number))

    def _start(self, number: int) -> int:
        return (number - 1) * self._part_size

    def _size(self, number: int) -> int:
        return min(self._part_size, self._source.size - self._start(number))

    def _stored_from(self, offset: int) -> int:
        number = offset // self._part_size + 1
        return self._start(number) + self._size(number) if number in self._etags else offset

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(sum(self._sent.values()), self._source.size)


async def _each(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item
