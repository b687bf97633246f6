"""Uploads of more than 1 MiB: straight to storage; large files in parts, resumable."""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from processing_context._transport.api import Api, dumps, transfer_headers
from processing_context._transport.bulk import RUN_OUT, Bulk
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

DIRECT_BYTES = 1024 * 1024
"""Largest file that is sent to the service in one request; larger files are sent to storage."""

RESUMABLE_BYTES = 64 * 1024 * 1024
"""Larger uploads can be resumed by another process."""

_MAX_COPIES = 32

# Uploads that run in this process: sending the same file twice at once creates two assets, while an
# upload that another process left unfinished is resumed.
_running: set[tuple[str, str | None, str]] = set()


class Uploads:
    """Uploads to presigned URLs: reserve, transfer, complete.

    Args:
        api: The API client.
        bulk: Connections for the bytes.
    """

    def __init__(self, api: Api, bulk: Bulk) -> None:
        self._api = api
        self._bulk = bulk

    async def create(
        self, fields: dict[str, Any], source: OpenContent, progress: Progress | None
    ) -> Asset:
        """Create an asset from a content."""
        draft = UploadCreate.model_validate(fields | {"size": source.size})
        if source.size > RESUMABLE_BYTES:
            return await self._create_resumable(draft, source, progress)
        # Storage verifies the bytes on arrival, so it needs the hash before them.
        draft.sha256 = await self._bulk.work(source.sha256)
        reserved = await self._reserve(draft, uuid.uuid4().hex)
        try:
            return await self._fill(reserved, source, progress)
        except BaseException:
            await self._abort(reserved.asset.id)
            raise

    async def _create_resumable(
        self, draft: UploadCreate, source: OpenContent, progress: Progress | None
    ) -> Asset:
        for key in _keys(draft, await self._bulk.work(source.sketch)):
            with self._as_running(key) as is_free:
                if not is_free:
                    continue
                try:
                    reserved = await self._reserve(draft, key)
                except (NotFoundError, ConflictError) as exc:
                    logger.debug("the upload of an earlier call has ended: %s", exc)
                    continue
                if reserved.asset.status != "pending":
                    continue  # an earlier call finished it: this call creates another asset
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
        raise ContextError(
            f"{draft.name!r} is being uploaded more than {_MAX_COPIES} times at once: wait for some"
        )

    @contextmanager
    def _as_running(self, key: str) -> Iterator[bool]:
        entry = (self._api.base_url, self._api.token, key)
        if entry in _running:
            yield False
            return
        _running.add(entry)
        try:
            yield True
        finally:
            _running.discard(entry)

    async def _reserve(self, draft: UploadCreate, key: str) -> UploadReserved:
        headers = {"Idempotency-Key": key, **transfer_headers()}
        return await self._api.post(
            "/v1/assets/uploads", UploadReserved, body=draft, headers=headers
        )

    async def _fill(
        self, reserved: UploadReserved, source: OpenContent, progress: Progress | None
    ) -> Asset:
        path = f"/v1/assets/{reserved.asset.id}"
        done = UploadComplete()
        if isinstance(reserved.upload, MultipartUpload):
            upload = f"{path}/upload"
            parts = Parts(self._api, self._bulk, upload, reserved.upload, source, progress)
            done = await parts.put()
        else:
            await self._put(reserved.upload, source, progress)
        return await self._api.post(
            f"{path}/complete", Asset, body=done.model_dump(exclude_none=True)
        )

    async def _fill_again(
        self, reserved: UploadReserved, source: OpenContent, progress: Progress | None
    ) -> Asset:
        """Continue an upload of an earlier call, of which a part may still arrive."""
        try:
            return await self._fill(reserved, source, progress)
        except ConflictError as exc:
            if exc.code != "upload_incomplete":
                raise
            logger.debug("looking at the parts again: %s", exc)
        return await self._fill(reserved, source, progress)

    async def _put(self, upload: PutUpload, source: OpenContent, progress: Progress | None) -> None:
        await self._bulk.put(
            upload.url, source.file, source.size, headers=upload.headers, progress=progress
        )

    async def _abort(self, asset_id: str) -> None:
        """Cancel a reservation that is not used; if this fails, it expires later."""
        path = f"/v1/assets/{asset_id}/upload"
        try:
            await self._api.request("DELETE", path, timeout_s=5, patience_s=0)
        except ContextError as exc:
            logger.debug("could not cancel the upload %s: %s", path, exc)


def _keys(draft: UploadCreate, sketch: str) -> Iterator[str]:
    """Yield the idempotency keys of the first, second … asset of the same draft.

    The keys are the same in every process, so that the service returns the upload that an earlier
    call left unfinished. The sketch differs for most contents; the stored parts are compared with
    the file as well.
    """
    stem = hashlib.sha256(dumps(draft) + sketch.encode()).hexdigest()
    for number in range(_MAX_COPIES):
        yield f"upload-{stem}-{number}"
    yield uuid.uuid4().hex


def _is_final(exc: Exception) -> bool:
    """Return True if the same upload can never succeed; after other errors it can be resumed."""
    if isinstance(exc, HTTPStatusError):
        return 400 <= exc.status < 500 and exc.status not in RUN_OUT | {408, 429}
    return isinstance(exc, ContentEnded | ValidationError) or _is_expired(exc)


def _is_expired(exc: Exception) -> bool:
    """Return True if storage has deleted the parts of an old upload."""
    return isinstance(exc, ConflictError) and exc.code == "upload_expired"


def _is_of_another(exc: Exception) -> bool:
    """Return True if the upload with this key belongs to another content or call."""
    if isinstance(exc, ConflictError | ValidationError):
        return exc.code in ("upload_ended", "checksum_mismatch")
    return isinstance(exc, AnotherContent)
