"""Downloads from the misbehaving server."""

from __future__ import annotations

import ssl

from app.outbound import Allowed, Download, Downloader
from tests.support.misbehaving_server import Trickster

MAX_BYTES = 1_000_000


def downloader(
    server: Trickster, *allow: str, tls: ssl.SSLContext | None = None, **options: float
) -> Downloader:
    """Return a downloader that may connect to `files.example` (the server) and to `allow`."""
    server.names.setdefault("files.example", [["127.0.0.1"]])
    allowed = Allowed.parse(["files.example", *allow])
    return Downloader(allowed, max_bytes=MAX_BYTES, resolver=server.resolve, tls=tls, **options)


async def get(one: Downloader, url: str) -> tuple[Download, bytes]:
    """Return a download and its content."""
    async with one.get(url) as download:
        return download, b"".join([piece async for piece in download.body])
