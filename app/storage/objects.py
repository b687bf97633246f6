"""Asynchronous access to the objects of a bucket."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import anyio.to_thread
import obstore
from obstore.store import S3Store

from app.runtime.fair_slots import FairSlots
from app.runtime.object_reader import ObjectHead, OpenedObject
from app.storage.admin import Admin, Stat
from app.storage.errors import ObjectMissing, StorageUnavailable, mapped
from app.storage.multipart import MultipartUploads
from app.storage.streaming_upload import Upload, bare_etag

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

READ_BYTES = 256 * 1024
HASH_BYTES = 1024 * 1024
DELETE_AT_ONCE = 1000
LIST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Stored:
    """Key and modification time of an object in a listing."""

    key: str
    modified_at: datetime


class Bucket:
    """Writes, reads, lists and deletes the objects of one bucket."""

    def __init__(
        self,
        name: str,
        store: S3Store,
        admin: Admin,
        uploads: MultipartUploads,
        streams: FairSlots,
        *,
        max_bytes: int,
    ) -> None:
        self.name = name
        self.uploads = uploads
        self._store = store
        self._admin = admin
        self._streams = streams
        self._max_bytes = max_bytes

    def upload(self, key: str, user_id: str) -> Upload:
        """Return a context manager that streams an object of a user to storage."""
        return Upload(self._store, key, user_id, self._streams, max_bytes=self._max_bytes)

    async def put(self, key: str, data: bytes) -> str | None:
        """Write an object from memory, and return its ETag.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        with mapped("write"):
            result = await obstore.put_async(self._store, key, data, use_multipart=False)
        return bare_etag(result["e_tag"])

    async def head(self, key: str) -> ObjectHead:
        """Return the size and the ETag of an object.

        Raises:
            ObjectMissing: The object does not exist.
            StorageUnavailable: Storage cannot be reached.
        """
        with mapped("look up an object", may_miss=True):
            return _head(await obstore.head_async(self._store, key))

    async def open(self, key: str) -> OpenedObject:
        """Begin to read an object; the request has been sent, so errors precede the first byte.

        Raises:
            ObjectMissing: The object does not exist.
            StorageUnavailable: Storage cannot be reached.
        """
        return await self._open(key, None)

    async def open_range(self, key: str, start: int, end: int) -> OpenedObject:
        """Begin to read the bytes from `start` up to, not including, `end`, which must be more.

        Raises:
            ObjectMissing: The object does not exist.
            StorageUnavailable: Storage cannot be reached.
        """
        return await self._open(key, {"range": (start, end)})

    async def _open(self, key: str, options: GetOptions | None) -> OpenedObject:
        with mapped("read", may_miss=True):
            result = await obstore.get_async(self._store, key, options=options)
        return OpenedObject(_head(result.meta), _pieces(result))

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Return an iterator over the bytes from `start` up to, not including, `end`.

        Raises:
            ObjectMissing: The object does not exist.
            StorageUnavailable: Storage cannot be reached.
        """
        if start >= end:
            return _empty()
        return (await self.open_range(key, start, end)).pieces

    async def stat(self, key: str) -> Stat:
        """Return the size and, if storage has it, the checksum of an object.

        Raises:
            ObjectMissing: The object does not exist.
            StorageUnavailable: Storage cannot be reached.
        """
        return await self._admin.stat(self.name, key)

    async def sha256(self, key: str) -> str:
        """Return the SHA-256 (hex) of an object, read in pieces.

        Raises:
            ObjectMissing: The object does not exist.
            StorageUnavailable: Storage cannot be reached.
        """
        digest = hashlib.sha256()
        left = 0
        with mapped("read", may_miss=True):
            result = await obstore.get_async(self._store, key)
            left = result.meta["size"]
            async for piece in result.stream(min_chunk_size=HASH_BYTES):
                left -= len(piece)
                # In a thread, because hashing a large object would delay requests.
                await anyio.to_thread.run_sync(digest.update, piece)
        if left:
            raise StorageUnavailable
        return digest.hexdigest()

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; missing objects are not an error.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        for first in range(0, len(keys), DELETE_AT_ONCE):
            batch = list(keys[first : first + DELETE_AT_ONCE])
            try:
                with mapped("delete", may_miss=True):
                    await obstore.delete_async(self._store, batch[0] if len(batch) == 1 else batch)
            except ObjectMissing:
                continue

    async def pages(self) -> AsyncIterator[list[Stored]]:
        """Yield all objects in pages, in the order of keys.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        with mapped("list objects"):
            async for page in obstore.list(self._store, chunk_size=LIST_AT_ONCE):
                yield [Stored(item["path"], item["last_modified"]) for item in page]

    async def check(self) -> None:
        """Check that storage responds, with a request for a missing object.

        Raises:
            StorageUnavailable: Storage cannot be reached.
        """
        try:
            with mapped("answer", may_miss=True):
                await obstore.head_async(self._store, "readyz")
        except ObjectMissing:
            return


def _head(meta: ObjectMeta) -> ObjectHead:
    return ObjectHead(meta["size"], bare_etag(meta["e_tag"]))


async def _empty() -> AsyncIterator[bytes]:
    no_pieces: tuple[bytes, ...] = ()
    for piece in no_pieces:
        yield piece


async def _pieces(result: obstore.GetResult) -> AsyncIterator[bytes]:
    with mapped("continue to read", may_miss=True):
        async for piece in result.stream(min_chunk_size=READ_BYTES):
            yield bytes(piece)
