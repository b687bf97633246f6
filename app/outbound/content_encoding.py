"""Decompression of response bodies.

Some servers send a Content-Encoding that was not requested, for example for files stored that way,
or for files that are compressed themselves.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable

from app.outbound.errors import UrlUnreachable
from processing_context.wire.media_types import essence

PIECE_BYTES = 256 * 1024
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}

_SUFFIXES = (
    ".gz", ".tgz", ".taz", ".svgz", ".z", ".bz2", ".tbz2", ".tbz", ".xz", ".txz", ".lzma",
    ".zst", ".tzst", ".br", ".lz4",
)  # fmt: skip
_TYPES = frozenset(
    f"application/{kind}"
    for kind in (
        "gzip", "x-gzip", "x-gtar-compressed", "x-compressed", "x-compressed-tar", "x-tgz",
        "x-compress", "x-bzip", "x-bzip2", "x-xz", "x-lzma", "zstd", "x-zstd", "x-brotli",
    )
)  # fmt: skip


def is_encoded(encoding: str) -> bool:
    """Return True if a Content-Encoding header names an encoding."""
    return encoding.strip().lower() not in ("", "identity")


def is_compressed_file(names: Iterable[str], content_type: str | None) -> bool:
    """Return True if a file is a compressed one, by one of its names or its media type."""
    if content_type is not None and essence(content_type) in _TYPES:
        return True
    return any(name.lower().endswith(_SUFFIXES) for name in names)


def decoded(body: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """Return a body decompressed according to its Content-Encoding, in pieces of bounded size.

    Raises:
        UrlUnreachable: The encoding is not supported.
    """
    kind = encoding.strip().lower()
    if kind in ("", "identity"):
        return body
    if kind not in _WBITS:
        raise UrlUnreachable(f"The server sent the unsupported Content-Encoding {kind!r}.")
    return _inflated(body, _WBITS[kind])


async def _inflated(body: AsyncIterator[bytes], wbits: int) -> AsyncIterator[bytes]:
    inflater = zlib.decompressobj(wbits)
    async for chunk in body:
        data = chunk
        while data:
            if inflater.eof:
                # A gzip file can have several members.
                inflater = zlib.decompressobj(wbits)
            try:
                piece = inflater.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise UrlUnreachable(
                    "The server sent a compressed response that is damaged."
                ) from None
            if piece:
                yield piece
            data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    if not inflater.eof:
        raise UrlUnreachable("The server sent a truncated response.")
