"""Uploads of more than 1 MiB: straight to storage, the large ones in parts and resumable."""

from __future__ import annotations

import base64
import hashlib
import logging
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from processing_context._bytes import RUN_OUT, Bytes
from processing_context._content import OpenContent
from processing_context._http import Http, dumps
from processing_context._parallel import AT_ONCE, in_parallel
from processing_context._transfer import ContentEnded, Progress
from processing_context.errors import (
    ConflictError,
    ContextError,
    HTTPStatusError,
    NotFoundError,
    ValidationError,
)
from processing_context.wire.assets import (
    Asset,
    CompletedPart,
    MultipartState,
    MultipartUpload,
    PutUpload,
    UploadComplete,
    UploadCreate,
    UploadPart,
    UploadReserved,
)

logger = logging.getLogger(__name__)

RESUMABLE_BYTES = 64 * 1024 * 1024
"""What is larger can be taken up again by another process."""

_URLS_AT_ONCE = 100
_MOST_COPIES = 32

# Uploads that run in this process: the same file sent twice at once makes two assets, while
# what another process left behind is taken up.
_running: set[tuple[str, str | None, str]] = set()


class Uploads:
    """Reserve, put, complete.

    Args:
        http: The API calls.
        transport: The bytes.
    """

    def __init__(self, http: Http, transport: Bytes) -> None:
        self._http = http
        self._bytes = transport

    async def create(
        self, fields: dict[str, Any], source: OpenContent, progress: Progress | None
    ) -> Asset:
        """Make an asset of a content."""
        sha256 = await self._bytes.run(source.sha256)
        draft = UploadCreate.model_validate(fields | {"size": source.size, "sha256": sha256})
        if source.size > RESUMABLE_BYTES:
            return await self._create_resumable(draft, source, progress)
        reserved = await self._reserve(draft, uuid.uuid4().hex)
        try:
            return await self._fill(reserved, source, progress)
        except BaseException:
            await self._abort(reserved.asset.id)
            raise

    async def _create_resumable(
        self, draft: UploadCreate, source: OpenContent, progress: Progress | None
    ) -> Asset:
        for key in _keys(draft):
            with self._as_running(key) as is_free:
                if not is_free:
                    continue
                try:
                    reserved = await self._reserve(draft, key)
                except (NotFoundError, ConflictError) as exc:
                    logger.debug("the upload of an earlier call has ended: %s", exc)
                    continue
                if reserved.asset.status != "pending":
                    continue  # an earlier call finished it: this one makes an asset of its own
                try:
                    return await self._fill(reserved, source, progress)
                except Exception as exc:
                    if _is_final(exc):
                        await self._abort(reserved.asset.id)
                    if not _is_expired(exc):
                        raise
        raise ContextError("this file is being uploaded too many times at once")

    @contextmanager
    def _as_running(self, key: str) -> Iterator[bool]:
        entry = (self._http.base_url, self._http.token, key)
        if entry in _running:
            yield False
            return
        _running.add(entry)
        try:
            yield True
        finally:
            _running.discard(entry)

    async def _reserve(self, draft: UploadCreate, key: str) -> UploadReserved:
        return await self._http.post(
            "/v1/assets/uploads", UploadReserved, body=draft, headers={"Idempotency-Key": key}
        )

    async def _fill(
        self, reserved: UploadReserved, source: OpenContent, progress: Progress | None
    ) -> Asset:
        path = f"/v1/assets/{reserved.asset.id}"
        done = UploadComplete()
        if isinstance(reserved.upload, MultipartUpload):
            parts = _Parts(self._http, self._bytes, path, reserved.upload, source, progress)
            done.parts = await parts.put()
        else:
            await self._put(reserved.upload, source, progress)
        return await self._http.post(
            f"{path}/complete", Asset, body=done.model_dump(exclude_none=True)
        )

    async def _put(self, upload: PutUpload, source: OpenContent, progress: Progress | None) -> None:
        await self._bytes.put(
            upload.url, source.file, source.size, headers=upload.headers, progress=progress
        )

    async def _abort(self, asset_id: str) -> None:
        """Take back a reservation that will not be used; the service does it later by itself."""
        path = f"/v1/assets/{asset_id}/upload"
        try:
            await self._http.request("DELETE", path, timeout_s=5, patience_s=0)
        except ContextError as exc:
            logger.debug("could not take back %s: %s", path, exc)


class _Parts:
    """The parts of one upload, those that storage has left out."""

    def __init__(
        self,
        http: Http,
        transport: Bytes,
        path: str,
        upload: MultipartUpload,
        source: OpenContent,
        progress: Progress | None,
    ) -> None:
        self._http = http
        self._bytes = transport
        self._path = f"{path}/upload"
        self._upload = upload
        self._source = source
        self._progress = progress
        self._etags: dict[int, str] = {}
        self._sent: dict[int, int] = {}

    async def put(self) -> list[CompletedPart] | None:
        """Put what is missing; return all parts, or None where they are put together already."""
        try:
            await in_parallel(self._missing(), self._put, at_once=AT_ONCE)
        except ConflictError as exc:
            if exc.code != "upload_ended":
                raise
            return None
        return [
            CompletedPart(part_number=number, etag=etag)
            for number, etag in sorted(self._etags.items())
        ]

    async def _missing(self) -> AsyncIterator[UploadPart]:
        for first in range(1, self._upload.part_count + 1, _URLS_AT_ONCE):
            state = await self._state(first, _URLS_AT_ONCE)
            for stored in state.stored:
                if stored.size == self._size(stored.part_number):
                    self._etags[stored.part_number] = stored.etag
                    self._sent[stored.part_number] = stored.size
            self._tell()
            for part in state.parts:
                if part.part_number not in self._etags:
                    yield part

    async def _state(self, first: int, count: int) -> MultipartState:
        return await self._http.get(
            self._path, MultipartState, params={"from": first, "limit": count}
        )

    async def _put(self, part: UploadPart) -> None:
        number = part.part_number
        start = (number - 1) * self._upload.part_size
        piece = self._source.slice(start, self._size(number))
        md5 = base64.b64encode(await self._bytes.run(piece.md5)).decode()

        def tell(done: int, _total: int) -> None:
            self._sent[number] = done
            self._tell()

        async def put(url: str) -> str:
            return await self._bytes.put(
                url, piece, self._size(number), headers={"Content-MD5": md5}, progress=tell
            )

        try:
            self._etags[number] = await put(part.url)
        except HTTPStatusError as exc:
            if exc.status not in RUN_OUT:
                raise
            fresh = (await self._state(number, 1)).parts
            if not fresh:
                raise
            self._etags[number] = await put(fresh[0].url)

    def _size(self, number: int) -> int:
        start = (number - 1) * self._upload.part_size
        return min(self._upload.part_size, self._source.size - start)

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(sum(self._sent.values()), self._source.size)


def _keys(draft: UploadCreate) -> Iterator[str]:
    """Yield the idempotency keys of the first, second … asset that is made of the same draft.

    They are the same in every process, so that the service answers with the upload that an earlier
    call left unfinished. The draft holds the SHA-256: another content never gets its key.
    """
    stem = hashlib.sha256(dumps(draft)).hexdigest()
    for number in range(_MOST_COPIES):
        yield f"upload-{stem}-{number}"
    yield uuid.uuid4().hex


def _is_final(exc: Exception) -> bool:
    """Whether the same upload can never succeed; all else leaves it to be taken up again."""
    if isinstance(exc, HTTPStatusError):
        return 400 <= exc.status < 500 and exc.status not in RUN_OUT | {408, 429}
    return isinstance(exc, ContentEnded | ValidationError) or _is_expired(exc)


def _is_expired(exc: Exception) -> bool:
    """Whether storage has thrown away the parts of an old upload."""
    return isinstance(exc, ConflictError) and exc.code == "upload_expired"
