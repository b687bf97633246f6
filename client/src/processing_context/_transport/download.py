"""Sink of a download in one stream, which resumes after a dropped connection."""

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
"""Larger files are written to disk."""


class Download:
    """A download in progress; `file` is seekable and, if it is on disk, deleted when closed."""

    def __init__(self) -> None:
        # No SpooledTemporaryFile: that warns when it is not closed, even if it never used the disk.
        self.file: IO[bytes] = io.BytesIO()
        self.done = 0
        self._is_on_disk = False
        self.content_type = ""
        self._total: int | None = None
        self._etag: str | None = None
        self._was_resumed = False

    def range_headers(self) -> dict[str, str]:
        """Return headers that request the rest, or everything if the file has changed since."""
        if not self.done or not self._etag:
            return {}  # without a strong ETag the rest may belong to another file
        return {"Range": f"bytes={self.done}-", "If-Range": self._etag}

    def begin(self, response: HTTPResponse) -> None:
        """Set the position of the body from the headers of a response."""
        start, total = _span(response)
        if start and (start != self.done or total != self._total):
            raise HTTPException(f"requested bytes from {self.done}, received bytes from {start}")
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
        """Read the body."""
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
        """Verify the SHA-256 of small files, and of files that were resumed.

        Raises:
            ContextError: The SHA-256 differs.
        """
        if sha256 is None or not (self._was_resumed or self.done <= SPOOL_BYTES):
            return
        self.file.seek(0)
        digest = hashlib.sha256()
        while block := self.file.read(BLOCK):
            digest.update(block)
        if digest.hexdigest() != sha256:
            raise ContextError(
                f"the download has the SHA-256 {digest.hexdigest()}, not {sha256}: try again"
            )

    def _go_to_disk(self) -> None:
        if self._is_on_disk:
            return
        on_disk = tempfile.TemporaryFile()  # noqa: SIM115
        in_memory, self.file, self._is_on_disk = self.file, on_disk, True
        in_memory.seek(0)
        shutil.copyfileobj(in_memory, on_disk, BLOCK)


def _span(response: HTTPResponse) -> tuple[int, int | None]:
    """Return the offset of the body in the file, and the size of the whole file."""
    if response.status == 206:
        content_range = response.headers.get("Content-Range", "").strip()
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", content_range)
        if not found:
            raise HTTPException("a 206 response has no valid Content-Range")
        return int(found[1]), int(found[2])
    length = response.headers.get("Content-Length")
    return 0, None if length is None else int(length)
