"""Decompression of response bodies.

Some servers send a Content-Encoding that was not requested, for example for files stored that way.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from app.outbound.errors import UrlUnreachable

PIECE_BYTES = 256 * 1024
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


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
