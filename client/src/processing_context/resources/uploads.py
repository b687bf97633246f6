"""Uploads of more than 1 MiB: straight to storage, the large ones in parts and resumable."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from processing_context._transport.api import Http, dumps
from processing_context._transport.bulk import RUN_OUT, Bytes
from processing_context._transport.content import OpenContent
from processing_context._transport.parts import AnotherContent, Parts
from processing_context._transport.transfer import ContentEnded, Progress
from processing_context.errors import (
    ConflictError,
    ContextError,
    HTTPStatusError,
    NotFoundError,
    ValidationError,
)
from processing_context.wire.assets import (
    Asset,
    MultipartUpload,
    PutUpload,
    UploadComplete,
    UploadCreate,
    UploadReserved,
)

logger = logging.getLogger(__name__)

RESUMABLE_BYTES = 64 * 1024 * 1024
"""What is larger can be taken up again by another process."""

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
        draft = UploadCreate.model_validate(fields | {"size": source.size})
        if source.size > RESUMABLE_BYTES:
            return await self._create_resumable(draft, source, progress)
        # Storage checks it against what it is sent, so it is to be known before that.
        draft.sha256 = await self._bytes.work(source.sha256)
        reserved = await self._reserve(draft, uuid.uuid4().hex)
        try:
            return await self._fill(reserved, source, progress)
        except BaseException:
            await self._abort(reserved.asset.id)
            raise

    async def _create_resumable(
        self, draft: UploadCreate, source: OpenContent, progress: Progress | None
    ) -> Asset:
        for key in _keys(draft, await self._bytes.work(source.sketch)):
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
                    return await self._fill_again(reserved, source, progress)
                except Exception as exc:
                    if _is_of_another(exc):
                        logger.debug("%s is the upload of another file: %s", reserved.asset.id, exc)
                        continue
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
            upload = f"{path}/upload"
            parts = Parts(self._http, self._bytes, upload, reserved.upload, source, progress)
            done = await parts.put()
        else:
            await self._put(reserved.upload, source, progress)
        return await self._http.post(
            f"{path}/complete", Asset, body=done.model_dump(exclude_none=True)
        )

    async def _fill_again(
        self, reserved: UploadReserved, source: OpenContent, progress: Progress | None
    ) -> Asset:
        """Fill what an earlier call may have begun; a part of that call can arrive after ours."""
        try:
            return await self._fill(reserved, source, progress)
        except ConflictError as exc:
            if exc.code != "upload_incomplete":
                raise
            logger.debug("looking at the parts again: %s", exc)
        return await self._fill(reserved, source, progress)

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


def _keys(draft: UploadCreate, sketch: str) -> Iterator[str]:
    """Yield the idempotency keys of the first, second … asset that is made of the same draft.

    They are the same in every process, so that the service answers with the upload that an earlier
    call left unfinished. The sketch keeps other contents away, nearly always; the rest is found out
    from the parts that are stored.
    """
    stem = hashlib.sha256(dumps(draft) + sketch.encode()).hexdigest()
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


def _is_of_another(exc: Exception) -> bool:
    """Whether the upload of the same key is, or has become, that of another content or call."""
    if isinstance(exc, ConflictError | ValidationError):
        return exc.code in ("upload_ended", "checksum_mismatch")
    return isinstance(exc, AnotherContent)
