"""Stored files whose bytes are checked while they are read.

Storage is another system: objects can be replaced, truncated or lost behind the rows that describe
them. Wrong bytes are never delivered as if they were the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.http import content_headers
from app.http.problems import Conflict, Unavailable
from app.runtime.object_reader import ObjectHead, ObjectReader


class ContentCorrupt(Conflict):
    """The object in storage is not the one that was stored."""

    code = "content_corrupt"
    detail = "The bytes in storage are not those that were stored for this file: upload them again."


@dataclass(frozen=True, slots=True)
class Content:
    """Location, description and headers of a stored file.

    Attributes:
        bucket: The bucket of the object.
        key: The key of the object.
        size: The size in bytes.
        content_type: The media type.
        etag: The ETag in responses.
        name: The name for Content-Disposition.
        sha256: The SHA-256 (hex), which whole reads verify; None if it is not known.
        object_etag: The ETag of the object in storage, which other reads compare; None if it is
            not known.
    """

    bucket: ObjectReader
    key: str
    size: int
    content_type: str
    etag: str
    name: str
    sha256: str | None = None
    object_etag: str | None = None

    @property
    def disposition(self) -> str:
        """The Content-Disposition header: inline for safe types, otherwise attachment."""
        is_inline = content_headers.is_safe_inline(self.content_type)
        return content_headers.disposition("inline" if is_inline else "attachment", self.name)

    async def check(self) -> None:
        """Check that the object is in storage.

        Raises:
            ContentCorrupt: The object has another size or ETag.
            ObjectMissing: The object does not exist in storage.
            StorageUnavailable: Storage does not answer.
        """
        self._compare(await self.bucket.head(self.key), self.object_etag)

    async def read(self) -> AsyncIterator[bytes]:
        """Return an iterator over all bytes; its last piece is returned after the verification.

        Raises:
            ContentCorrupt: The object has another size, or (while iterating) another SHA-256.
            ObjectMissing: The object does not exist in storage.
            StorageUnavailable: Storage does not answer.
        """
        opened = await self.bucket.open(self.key)
        if self.sha256 is None:
            self._compare(opened.head, self.object_etag)
            return opened.pieces
        self._compare(opened.head, None)
        return _verified(opened.pieces, self.sha256)

    async def read_range(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Return an iterator over the bytes from `start` up to, not including, `end`.

        Raises:
            ContentCorrupt: The object has another size or ETag.
            ObjectMissing: The object does not exist in storage.
            StorageUnavailable: Storage does not answer.
        """
        try:
            opened = await self.bucket.open_range(self.key, start, end)
        except Unavailable:
            # Storage also fails if the object ends before the range.
            await self.check()
            raise
        self._compare(opened.head, self.object_etag)
        return opened.pieces

    def _compare(self, head: ObjectHead, object_etag: str | None) -> None:
        if head.size != self.size or object_etag not in (None, head.etag):
            raise ContentCorrupt


async def _verified(pieces: AsyncIterator[bytes], sha256: str) -> AsyncIterator[bytes]:
    digest = hashlib.sha256()
    held = b""
    async for piece in pieces:
        digest.update(piece)
        if held:
            yield held
        held = piece
    if digest.hexdigest() != sha256:
        raise ContentCorrupt
    if held:
        yield held
