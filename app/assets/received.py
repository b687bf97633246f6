"""Reading of uploads that pass through the service: limits, checksum, write to storage."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.assets.quotas import check_remaining
from app.http.auth import Principal
from app.http.problems import TooLarge
from app.storage.streaming_upload import Upload
from processing_context.wire import media_types


@dataclass(frozen=True, slots=True)
class Received:
    """Size and SHA-256 of received bytes; `head` is the first of them, for type detection."""

    size: int
    sha256: str
    head: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits for the size of an upload.

    Args:
        principal: The user.
        max_bytes: The limit for one file, in bytes.
        remaining: The remaining bytes of the user's quota; None is no limit.
    """

    principal: Principal
    max_bytes: int
    remaining: int | None = None

    def check(self, size: int) -> None:
        """Check the number of bytes received so far.

        Raises:
            TooLarge: The file is larger than the limit.
            QuotaExceeded: The upload would exceed the quota of the user.
        """
        if size > self.max_bytes:
            raise TooLarge(f"The file is larger than the limit of {self.max_bytes} bytes.")
        check_remaining(self.principal, size, self.remaining)


async def receive(
    chunks: AsyncIterator[bytes], limits: Limits, upload: Upload | None = None
) -> Received:
    """Read all bytes, and write them to an upload if one is given.

    Raises:
        TooLarge: The file is larger than the limit.
        QuotaExceeded: The upload would exceed the quota of the user.
    """
    digest = hashlib.sha256()
    size = 0
    head = b""
    async for chunk in chunks:
        size += len(chunk)
        limits.check(size)
        if len(head) < media_types.HEAD_BYTES:
            head += chunk[: media_types.HEAD_BYTES]
        digest.update(chunk)
        if upload is not None:
            await upload.write(chunk)
    return Received(size, digest.hexdigest(), head)
