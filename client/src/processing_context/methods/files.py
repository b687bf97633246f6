"""Temporary files and URLs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from processing_context._arguments import given
from processing_context._transport.api import Http
from processing_context._transport.content import Content
from processing_context.resources.files import Files
from processing_context.resources.temp import TempFiles


class FileMethods:
    """Bytes that are no assets."""

    _http: Http
    _temp: TempFiles
    _files: Files

    async def create_temp_asset(self, content: Content, ext: str = "") -> str:
        """Store a file for a day; return a presigned URL."""
        temp = await self._temp.create(content, ext)
        return temp.get_url or await self._temp.url(temp.id)

    async def download_temp_asset(self, temp_id: str) -> IO[bytes]:
        """Return a temporary file, by its id or any URL of it."""
        return await self._temp.download(temp_id)

    async def download_file(self, url: str) -> IO[bytes]:
        """Return what a URL names, as a seekable file.

        `http(s):`, `data:`, the service's own URLs (with its token), and with `allow_local_files`
        also `file:` and absolute paths.

        Raises:
            ValueError: Another kind of URL, or a local file without leave.
            HTTPStatusError: The status is 400 or more.
        """
        return await self._files.download(url)

    async def http_get(self, url: str, *, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the body at a URL.

        Raises:
            ValueError: It is no http(s): URL.
            HTTPStatusError: The status is 400 or more.
        """
        if not given(url, "url").startswith(("http://", "https://")):
            raise ValueError(f"an http(s): URL is wanted, not {url[:200]!r}")
        return await self._http.fetch(url, headers)
