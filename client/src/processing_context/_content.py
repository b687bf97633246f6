"""What is uploaded: bytes, a path or a binary file object, as a seekable file of known size."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, cast

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

    def read_all(self) -> bytes:
        """Return all of it."""
        self.file.seek(0)
        return self.file.read(self.size)

    def sha256(self) -> str:
        """Return its hash; reads all of it."""
        self.file.seek(0)
        digest = hashlib.sha256()
        while block := self.file.read(BLOCK):
            digest.update(block)
        return digest.hexdigest()


@asynccontextmanager
async def opened(content: Content, transport: Bytes) -> AsyncIterator[OpenContent]:
    """Open a content; closes what it opened itself.

    Raises:
        ValueError: It is of another type, or a file in text mode.
        OSError: A path that cannot be read.
    """
    if isinstance(content, str | os.PathLike):
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
