"""Downloads of large files: parallel ranges into one file, hashed on the way."""

from __future__ import annotations

import io
import os
import re
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from http.client import HTTPException, HTTPResponse

from processing_context._transport.bulk import RUN_OUT, Bulk
from processing_context._transport.connections import BLOCK
from processing_context._transport.hashing import FollowingHash
from processing_context._transport.parallel import AT_ONCE, in_parallel
from processing_context._transport.transfer import Progress, Refused, Transfer
from processing_context.errors import ContextError

SEGMENT_BYTES = 32 * 1024 * 1024
"""Longest range. A server reads ahead and discards the bytes after the end of a range."""
_IS_POSITIONAL = hasattr(os, "pwrite") and hasattr(os, "pread")


class Changed(ContextError):
    """The file at the URL is not the one that the ranges were planned for."""


def on_disk() -> io.FileIO:
    """Return an unnamed temporary file."""
    return tempfile.TemporaryFile(buffering=0)


class RangedFile:
    """A file of known size that is being downloaded in ranges.

    Args:
        file: Empty and unbuffered, since several threads write to it.
        size: In bytes.
        sha256: Expected hash, if it is known.
    """

    def __init__(self, file: io.FileIO, size: int, sha256: str | None) -> None:
        self.size = size
        self.etag = ""
        self.counting = threading.Lock()
        self._file = file
        self._sha256 = sha256
        self._lock = threading.Lock()
        self._hash = FollowingHash(self._read, self._written_from)
        # Two ranges per connection: the hash follows from the start of the file, and would
        # otherwise reach the last range only when that has been received.
        self._segment_size = max(1, min(SEGMENT_BYTES, -(-size // (2 * AT_ONCE))))
        self.segments = [
            Segment(self, start, min(self._segment_size, size - start))
            for start in range(0, size, self._segment_size)
        ]

    @property
    def done(self) -> int:
        """Number of bytes received, in all segments."""
        return sum(segment.done for segment in self.segments)

    def reserve(self) -> None:
        """Allocate the disk space before the download, so that a full disk is found at once."""
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._file.fileno(), 0, self.size)
        else:
            self._file.truncate(self.size)

    def check_version(self, etag: str) -> None:
        """Check that all ranges belong to the same version of the file.

        Raises:
            Changed: They do not, or the ETag is missing or weak.
        """
        with self._lock:
            if not etag.startswith('"') or self.etag not in ("", etag):
                raise Changed("the file was replaced while it was being downloaded")
            self.etag = etag

    def write(self, offset: int, block: memoryview) -> None:
        """Write bytes at an offset."""
        while block:
            if _IS_POSITIONAL:
                written = os.pwrite(self._file.fileno(), block, offset)
            else:
                with self._lock:
                    self._file.seek(offset)
                    written = self._file.write(block)
            block, offset = block[written:], offset + written

    def hash_on(self, offset: int, fresh: memoryview) -> None:
        """Hash the bytes received without a gap; `fresh` has just been written to `offset`."""
        if self._sha256 is not None:
            self._hash.go_on(offset, fresh)

    def _read(self, offset: int, count: int) -> bytes:
        if _IS_POSITIONAL:
            block = os.pread(self._file.fileno(), count, offset)
        else:
            with self._lock:
                self._file.seek(offset)
                block = self._file.read(count) or b""
        if len(block) != count:
            raise OSError("the file is shorter than what was written to it")
        return block

    def check(self) -> None:
        """Verify the SHA-256.

        Raises:
            ContextError: The SHA-256 differs.
        """
        if self._sha256 is None:
            return
        self._hash.go_on()
        found = self._hash.hexdigest()
        if found != self._sha256:
            raise ContextError(
                f"the download has the SHA-256 {found}, not {self._sha256}: try again"
            )

    def _written_from(self, offset: int) -> int:
        if offset == self.size:
            return offset
        number = offset // self._segment_size
        return number * self._segment_size + self.segments[number].done


class Segment:
    """One range of a file; a sink of a download."""

    def __init__(self, whole: RangedFile, start: int, size: int) -> None:
        self.done = 0
        self._whole = whole
        self._start = start
        self._size = size

    def range_headers(self) -> dict[str, str]:
        """Return headers that request the missing bytes, if the file is unchanged."""
        first, last = self._start + self.done, self._start + self._size - 1
        wanted = {"Range": f"bytes={first}-{last}"}
        return wanted | {"If-Range": self._whole.etag} if self._whole.etag else wanted

    def begin(self, response: HTTPResponse) -> None:
        """Check that a response is the requested range.

        Raises:
            Changed: It is another range, or the whole file.
        """
        content_range = response.headers.get("Content-Range", "").strip()
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", content_range)
        asked = (self._start + self.done, self._whole.size)
        if response.status != 206 or not found or (int(found[1]), int(found[2])) != asked:
            raise Changed("the response is not the requested range")
        self._whole.check_version(response.headers.get("ETag", ""))

    def receive(self, response: HTTPResponse, transfer: Transfer) -> None:
        """Read the body."""
        block = memoryview(bytearray(BLOCK))
        while left := self._size - self.done:
            got = response.readinto(block[: min(BLOCK, left)])
            if not got:
                raise HTTPException(f"the connection ended {left} bytes early")
            offset, fresh = self._start + self.done, block[:got]
            self._whole.write(offset, fresh)
            with self._whole.counting:  # keeps progress reports in order
                self.done += got
                transfer.report(self._whole.done, self._whole.size)
            self._whole.hash_on(offset, fresh)


async def fetch(
    bulk: Bulk,
    url: str,
    file: io.FileIO,
    size: int,
    *,
    sha256: str | None,
    renew: Callable[[], Awaitable[str]],
    progress: Progress | None,
) -> None:
    """Download into an empty, unbuffered file.

    Args:
        bulk: The connections.
        url: A presigned URL.
        file: The target.
        size: Size of the file at the URL.
        sha256: Expected hash; verified at the end, if it is known.
        renew: Returns a new URL when this one expires during the download.
        progress: Called as bytes arrive.

    Raises:
        Changed: The file at the URL is not the expected one.
        ContextError: The SHA-256 differs.
    """
    whole = RangedFile(file, size, sha256)
    await bulk.run(whole.reserve)

    async def segments() -> AsyncIterator[Segment]:
        for segment in whole.segments:
            yield segment

    async def work(segment: Segment) -> None:
        nonlocal url
        used = url
        try:
            await bulk.fill(segment, used, {}, progress)
        except Refused as refused:
            if refused.status not in RUN_OUT:
                raise
            if url == used:  # else another segment has renewed it
                url = await renew()
            await bulk.fill(segment, url, {}, progress)

    try:
        await in_parallel(segments(), work, at_once=AT_ONCE)
    except Refused as refused:
        raise refused.public() from None
    await bulk.run(whole.check)
