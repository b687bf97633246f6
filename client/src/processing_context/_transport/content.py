"""Contents to upload (bytes, a path or a binary file object) as seekable files of known size."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, cast

from processing_context._arguments import given
from processing_context._transport.bulk import Bulk
from processing_context._transport.connections import BLOCK
from processing_context._transport.download import SPOOL_BYTES
from processing_context._transport.transfer import ContentEnded

Content = IO[bytes] | bytes | bytearray | memoryview | str | os.PathLike[str]
"""A binary file object (read from its start, not closed), bytes, or a path."""

_PIECES = 64
_PIECE_BYTES = 64 * 1024


class OpenContent:
    """Seekable content of known size."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file = file
        self.size = size
        self._lock = threading.Lock()
        self._descriptor = _descriptor(file)

    def read_all(self) -> bytes:
        """Return the whole content."""
        self.file.seek(0)
        return self.file.read(self.size)

    def read_at(self, offset: int, count: int) -> bytes:
        """Return bytes from any position; thread-safe.

        Raises:
            ContentEnded: The content has fewer bytes.
        """
        if self._descriptor is not None:
            block = os.pread(self._descriptor, count, offset)
        else:
            with self._lock:
                self.file.seek(offset)
                block = self.file.read(count)
        if len(block) < count:
            ended = offset + len(block)
            raise ContentEnded(f"the content ended after {ended} of {self.size} bytes")
        return block

    def sha256(self) -> str:
        """Return the SHA-256 of the whole content as hex."""
        return self._digest("sha256", 0, self.size).hex()

    def md5(self, start: int, size: int) -> bytes:
        """Return the MD5 of a part, by which storage identifies it."""
        return self._digest("md5", start, size)

    def sketch(self) -> str:
        """Return a hash of samples of the content, to tell it from nearly every other one."""
        digest = hashlib.sha256()
        last = max(self.size - _PIECE_BYTES, 0)
        for number in range(_PIECES):
            offset = last * number // (_PIECES - 1)
            digest.update(self.read_at(offset, min(_PIECE_BYTES, self.size)))
        return digest.hexdigest()

    def slice(self, start: int, size: int) -> Slice:
        """Return a part of the content as a file, for use in another thread."""
        return Slice(self, start, size)

    def _digest(self, algorithm: str, start: int, size: int) -> bytes:
        digest = hashlib.new(algorithm, usedforsecurity=False)
        end = start + size
        for offset in range(start, end, BLOCK):
            digest.update(self.read_at(offset, min(BLOCK, end - offset)))
        return digest.digest()


class Slice:
    """Part of a content as a file, with its own position."""

    def __init__(self, content: OpenContent, start: int, size: int) -> None:
        self._content = content
        self._start = start
        self._size = size
        self._at = 0

    def seek(self, offset: int, /) -> int:
        """Set the position."""
        self._at = offset
        return offset

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes from the position."""
        block = self._content.read_at(self._start + self._at, min(size, self._size - self._at))
        self._at += len(block)
        return block


@asynccontextmanager
async def opened(content: Content, bulk: Bulk) -> AsyncIterator[OpenContent]:
    """Open a content; files that the caller opened are not closed.

    Raises:
        ValueError: The content has another type, or is a file in text mode.
        OSError: The path cannot be read.
    """
    if isinstance(content, str | os.PathLike):
        given(os.fspath(content), "content")
        file: IO[bytes] = await bulk.run(Path(content).open, "rb")
    elif isinstance(content, bytes | bytearray | memoryview):
        file = io.BytesIO(content)
    else:
        _refuse_text(content)
        if await bulk.run(_is_seekable, content):
            yield OpenContent(content, await bulk.run(_size, content))
            return
        file = await bulk.run(_spooled, content)
    try:
        yield OpenContent(file, await bulk.run(_size, file))
    finally:
        file.close()


def _refuse_text(content: object) -> None:
    if isinstance(content, io.TextIOBase):
        raise ValueError("content is a file in text mode: open it with mode 'rb'")
    if not hasattr(content, "read"):
        raise ValueError(
            f"content must be a binary file object, bytes or a path, not {type(content).__name__}"
        )


def _is_seekable(file: IO[bytes]) -> bool:
    return bool(getattr(file, "seekable", lambda: hasattr(file, "seek"))())


def _size(file: IO[bytes]) -> int:
    file.seek(0, os.SEEK_END)
    return file.tell()


def _descriptor(file: IO[bytes]) -> int | None:
    """Return a descriptor that threads can `pread` without a lock; None if there is no such one.

    Only for unmodified file classes: another one may decompress, or have unwritten buffers.
    """
    if type(file) not in (io.FileIO, io.BufferedReader) or not hasattr(os, "pread"):
        return None
    raw = getattr(file, "raw", file)
    if type(raw) is not io.FileIO or not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        return None
    return raw.fileno()


def _spooled(stream: IO[bytes]) -> IO[bytes]:
    copy = cast(IO[bytes], tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115
    while block := stream.read(BLOCK):
        copy.write(block)
    return copy
