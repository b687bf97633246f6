"""Bodies that come compressed although nobody asked for it, as files stored that way do."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from app.outbound.errors import UrlUnreachable

PIECE_BYTES = 256 * 1024
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def decoded(body: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """Return the body without its Content-Encoding, in pieces of bounded size.

    Raises:
        UrlUnreachable: It has one that we do not undo.
    """
    kind = encoding.strip().lower()
    if kind in ("", "identity"):
        return body
    if kind not in _WBITS:
        raise UrlUnreachable(
            "The server answers with a Content-Encoding that the service did not ask for."
        )
    return _inflated(body, _WBITS[kind])


async def _inflated(body: AsyncIterator[bytes], wbits: int) -> AsyncIterator[bytes]:
    inflater = zlib.decompressobj(wbits)
    async for chunk in body:
        data = chunk
        while data:
            if inflater.eof:
                # A gzip file may have several members.
                inflater = zlib.decompressobj(wbits)
            try:
                piece = inflater.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise UrlUnreachable("The server's answer is broken: it does not unpack.") from None
            if piece:
                yield piece
            data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    if not inflater.eof:
        raise UrlUnreachable("The server's answer broke off.")
