"""What is uploaded: bytes, a path or a binary file object, as a seekable file of known size."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, cast

from processing_context._arguments import given
from processing_context._bytes import Bytes
from processing_context._connections import BLOCK
from processing_context._download import SPOOL_BYTES

Content = IO[bytes] | bytes | bytearray | memoryview | str | os.PathLike[str]
"""A binary file object (read from its start, not closed), bytes, or a path."""


class OpenContent:
    """Seekable bytes of known size."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file = file
        self.size = size
        self._lock = threading.Lock()

    def read_all(self) -> bytes:
        """Return all of it."""
        self.file.seek(0)
        return self.file.read(self.size)

    def sha256(self) -> str:
        """Return its hash; reads all of it."""
        self.file.seek(0)
        if hasattr(self.file, "readinto"):
            return hashlib.file_digest(self.file, "sha256").hexdigest()
        digest = hashlib.sha256()
        while block := self.file.read(BLOCK):
            digest.update(block)
        return digest.hexdigest()

    def slice(self, start: int, size: int) -> Slice:
        """Return a part of it, for a thread of its own."""
        return Slice(self, start, size)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return bytes from the middle; safe in threads."""
        with self._lock:
            self.file.seek(offset)
            return self.file.read(size)


class Slice:
    """A part of a content as a file; slices of one content do not disturb each other."""

    def __init__(self, content: OpenContent, start: int, size: int) -> None:
        self._content = content
        self._start = start
        self._size = size
        self._at = 0

    def seek(self, offset: int, /) -> int:
        """Go to a position."""
        self._at = offset
        return offset

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, fewer only at the end."""
        block = self._content.read_at(self._start + self._at, min(size, self._size - self._at))
        self._at += len(block)
        return block

    def md5(self) -> bytes:
        """Return its MD5, which is what storage checks a part against."""
        digest = hashlib.md5(usedforsecurity=False)
        self.seek(0)
        while block := self.read(BLOCK):
            digest.update(block)
        return digest.digest()


@asynccontextmanager
async def opened(content: Content, transport: Bytes) -> AsyncIterator[OpenContent]:
    """Open a content; closes what it opened itself.

    Raises:
        ValueError: It is of another type, or a file in text mode.
        OSError: A path that cannot be read.
    """
    if isinstance(content, str | os.PathLike):
        given(os.fspath(content), "content")
        file: IO[bytes] = await transport.run(Path(content).open, "rb")
    elif isinstance(content, bytes | bytearray | memoryview):
        file = io.BytesIO(content)
    else:
        _refuse_text(content)
        if await transport.run(_is_seekable, content):
            yield OpenContent(content, await transport.run(_size, content))
            return
        file = await transport.run(_spooled, content)
    try:
        yield OpenContent(file, await transport.run(_size, file))
    finally:
        file.close()


def _refuse_text(content: object) -> None:
    if isinstance(content, io.TextIOBase):
        raise ValueError("the file is open in text mode: open it with mode 'rb'")
    if not hasattr(content, "read"):
        raise ValueError(
            f"content must be a binary file object, bytes or a path, not {type(content).__name__}"
        )


def _is_seekable(file: IO[bytes]) -> bool:
    return bool(getattr(file, "seekable", lambda: hasattr(file, "seek"))())


def _size(file: IO[bytes]) -> int:
    file.seek(0, os.SEEK_END)
    return file.tell()


def _spooled(stream: IO[bytes]) -> IO[bytes]:
    copy = cast(IO[bytes], tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES))  # noqa: SIM115
    while block := stream.read(BLOCK):
        copy.write(block)
    return copy
