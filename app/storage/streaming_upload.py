"""Atomic streaming upload of an object with bounded memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import obstore
from obstore.store import S3Store

from app.runtime.fair_slots import FairSlots, SlotsBusyError
from app.storage.errors import StorageUnavailable, UploadsBusy, mapped
from app.storage.multipart import MAX_PARTS

logger = logging.getLogger(__name__)

MIB = 1024 * 1024
PART_BYTES = 8 * MIB
PARTS_AT_ONCE = 2
PIECE_BYTES = MIB
WAIT_S = 60


class _UploadAborted(Exception):
    """Raised in the source of obstore, so that it aborts the multipart upload."""


class Upload:
    """Context manager that writes one object from pieces of any size.

    The object exists when the block has ended without an exception; otherwise it is not written.
    Up to one part is sent as one PUT at the end; more is sent as an S3 multipart upload, which
    begins with the first complete part. Memory is limited to a few parts.

    Args:
        store: The bucket.
        key: The key of the object.
        user_id: The user who uploads.
        streams: The limit for concurrent uploads of more than `PIECE_BYTES`; others wait.
        max_bytes: The maximum size of the object, which decides the part size.

    Attributes:
        etag: The ETag of the object in storage, when the block has ended.
    """

    def __init__(
        self, store: S3Store, key: str, user_id: str, streams: FairSlots, *, max_bytes: int
    ) -> None:
        self.etag: str | None = None
        self._store = store
        self._key = key
        self._user_id = user_id
        self._streams = streams
        self._has_stream = False
        self._part_bytes = max(PART_BYTES, max_bytes // MAX_PARTS + 1)
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._pieces: asyncio.Queue[bytes | _UploadAborted | None] = asyncio.Queue(maxsize=1)
        self._transfer: asyncio.Task[None] | None = None

    async def write(self, data: bytes) -> None:
        """Write the next bytes; waits while storage is slower than their source.

        Raises:
            StorageUnavailable: The transfer failed.
            UploadsBusy: The limit for concurrent uploads was reached for `WAIT_S` seconds.
        """
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if not self._has_stream and self._waiting_bytes > PIECE_BYTES:
            await self._wait_for_stream()
        limit = self._part_bytes if self._transfer is None else PIECE_BYTES
        if self._waiting_bytes > limit:
            if self._transfer is None:
                self._transfer = asyncio.create_task(self._put_parts())
            await self._hand_over(self._take())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc is not None:
                await asyncio.shield(self._abort())
            elif self._transfer is None:
                await self._put(self._take())
            else:
                await self._hand_over(self._take())
                await self._hand_over(None)
                # A cancelled put would leave its parts; the journal deletes a finished object.
                await asyncio.shield(self._transfer)
        finally:
            if self._has_stream:
                self._streams.release(self._user_id)

    async def _wait_for_stream(self) -> None:
        try:
            await self._streams.acquire(self._user_id, wait_s=WAIT_S)
        except SlotsBusyError:
            raise UploadsBusy(retry_after_s=WAIT_S) from None
        self._has_stream = True

    def _take(self) -> bytes:
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        return data

    async def _hand_over(self, piece: bytes | _UploadAborted | None) -> None:
        if self._transfer is None:
            raise RuntimeError("the transfer has not been started")
        putting = asyncio.ensure_future(self._pieces.put(piece))
        try:
            await asyncio.wait({putting, self._transfer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not putting.done():
                putting.cancel()
        if self._transfer.done():
            self._transfer.result()

    async def _abort(self) -> None:
        self._waiting.clear()
        if self._transfer is None:
            return
        try:
            await self._hand_over(_UploadAborted())
            await self._transfer
        except _UploadAborted:
            return
        except StorageUnavailable:
            logger.warning("the parts of an aborted upload will be deleted by the journal")

    async def _source(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            if isinstance(piece, _UploadAborted):
                raise piece
            if piece:
                yield piece

    async def _put_parts(self) -> None:
        with mapped("write parts"):
            result = await obstore.put_async(
                self._store,
                self._key,
                self._source(),
                use_multipart=True,
                chunk_size=self._part_bytes,
                max_concurrency=PARTS_AT_ONCE,
            )
        self.etag = bare_etag(result["e_tag"])

    async def _put(self, data: bytes) -> None:
        with mapped("write"):
            result = await obstore.put_async(self._store, self._key, data, use_multipart=False)
        self.etag = bare_etag(result["e_tag"])


def bare_etag(etag: str | None) -> str | None:
    """Return an ETag without quotes."""
    return None if etag is None else etag.strip('"')
