"""What has arrived of a file, and where the rest goes after a dropped connection."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import tempfile
from http.client import HTTPException, HTTPResponse
from typing import IO

from processing_context._transport.connections import BLOCK
from processing_context._transport.transfer import Transfer
from processing_context.errors import ContextError

SPOOL_BYTES = 16 * 1024 * 1024
"""What is larger goes to disk."""


class Download:
    """A file in the making; `file` is seekable and, where it is on disk, gone when closed."""

    def __init__(self) -> None:
        # No SpooledTemporaryFile: that warns when it is not closed, even if it never saw the disk.
        self.file: IO[bytes] = io.BytesIO()
        self.done = 0
        self._is_on_disk = False
        self.content_type = ""
        self._total: int | None = None
        self._etag: str | None = None
        self._was_resumed = False

    def range_headers(self) -> dict[str, str]:
        """Ask for the rest, or for all of it if it has changed since."""
        if not self.done or not self._etag:
            return {}  # without a strong ETag nobody knows that the rest belongs to these bytes
        return {"Range": f"bytes={self.done}-", "If-Range": self._etag}

    def begin(self, response: HTTPResponse) -> None:
        """Learn from an answer's headers where its bytes belong."""
        start, total = _span(response)
        if start and (start != self.done or total != self._total):
            raise HTTPException(f"asked for the bytes from {self.done}, got those from {start}")
        self.file.seek(start)
        self.file.truncate()
        self._was_resumed = start > 0
        self.done, self._total = start, total
        self.content_type = response.headers.get("Content-Type", "")
        etag = response.headers.get("ETag", "")
        self._etag = etag if etag.startswith('"') else None
        if total is not None and total > SPOOL_BYTES:
            self._go_to_disk()

    def receive(self, response: HTTPResponse, transfer: Transfer) -> None:
        """Take in the body."""
        block = memoryview(bytearray(min(BLOCK, max(self._total or BLOCK, 1))))
        while got := response.readinto(block):
            self.file.write(block[:got])
            self.done += got
            if self.done > SPOOL_BYTES:
                self._go_to_disk()
            transfer.report(self.done, self._total or 0)
        if self._total is not None and self.done != self._total:
            raise HTTPException(f"the connection ended after {self.done} of {self._total} bytes")

    def check(self, sha256: str | None) -> None:
        """Compare with a known hash where that is cheap, and whatever was put together of pieces.

        Raises:
            ContextError: They differ.
        """
        if sha256 is None or not (self._was_resumed or self.done <= SPOOL_BYTES):
            return
        self.file.seek(0)
        digest = hashlib.sha256()
        while block := self.file.read(BLOCK):
            digest.update(block)
        if digest.hexdigest() != sha256:
            raise ContextError(
                f"the downloaded bytes have the SHA-256 {digest.hexdigest()}, not {sha256}"
            )

    def _go_to_disk(self) -> None:
        if self._is_on_disk:
            return
        on_disk = tempfile.TemporaryFile()  # noqa: SIM115
        in_memory, self.file, self._is_on_disk = self.file, on_disk, True
        in_memory.seek(0)
        shutil.copyfileobj(in_memory, on_disk, BLOCK)


def _span(response: HTTPResponse) -> tuple[int, int | None]:
    """Return where the body starts in the file, and the size of the whole file."""
    if response.status == 206:
        said = response.headers.get("Content-Range", "").strip()
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", said)
        if not found:
            raise HTTPException("a partial answer does not say which part it is")
        return int(found[1]), int(found[2])
    length = response.headers.get("Content-Length")
    return 0, None if length is None else int(length)
