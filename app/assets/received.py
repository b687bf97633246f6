"""Bytes of an upload as they pass through the service: counted, hashed, written to storage."""

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
    """Size and SHA-256 of received bytes, and the first of them."""

    size: int
    sha256: str
    head: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """How many bytes an upload may have.

    Args:
        principal: The user.
        max_bytes: The limit for one file.
        remaining: The bytes that remain of the user's quota; None: no limit.
    """

    principal: Principal
    max_bytes: int
    remaining: int | None = None

    def check(self, size: int) -> None:
        """Check how many bytes have been received.

        Raises:
            TooLarge: More than the limit for one file.
            QuotaExceeded: More than remain of the quota.
        """
        if size > self.max_bytes:
            raise TooLarge(f"The file is larger than the limit of {self.max_bytes} bytes.")
        check_remaining(self.principal, size, self.remaining)


async def receive(
    chunks: AsyncIterator[bytes], limits: Limits, upload: Upload | None = None
) -> Received:
    """Read all bytes, and write them to an upload if one is given.

    Raises:
        TooLarge: They are more than the limit.
        QuotaExceeded: They are more than remain of the user's quota.
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
