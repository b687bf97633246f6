"""Contents by URL and by ref: storage routes of the service, other servers, local files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from processing_context._arguments import given
from processing_context._outgoing import without_bytes
from processing_context._refs import ref_bytes, ref_parts
from processing_context._transport.api import Api, transfer_headers
from processing_context.convert.data_uri import from_data_uri
from processing_context.resources.assets import AssetMethods
from processing_context.resources.temp import TempMethods, temp_id_of

_SERVICE_PATH = "/v1/"


class FileMethods(AssetMethods, TempMethods):
    """Contents of URLs and refs."""

    allow_local_files: bool

    async def download_file(self, url: str) -> IO[bytes]:
        """Return the content of a URL as a seekable file.

        Supported are `http(s):`, `data:`, URLs of the service (with its token), and with
        `allow_local_files` also `file:` and absolute paths.

        Raises:
            ValueError: The kind of URL is not supported, or local files are not allowed.
            HTTPStatusError: The status is 400 or more.
        """
        scheme = urlsplit(given(url, "url")).scheme
        if scheme == "data":
            return io.BytesIO(from_data_uri(url))
        if url.startswith(_SERVICE_PATH):
            url = self._core.api.base_url + url
        if url.startswith(("http://", "https://")):
            headers = {"User-Agent": "processing-context", **_credentials(self._core.api, url)}
            return (await self._core.bulk.get(url, headers=headers)).file
        if scheme == "file" or Path(url).is_absolute():
            path = self._local_path(url, is_uri=scheme == "file")
            return await self._core.bulk.run(path.open, "rb")
        raise ValueError(
            f"cannot download {url[:200]!r}: url= must be an http(s): or data: URL, or a storage "
            "route of the service"
        )

    async def http_get(self, url: str, *, headers: Mapping[str, str] | None = None) -> bytes:
        """Return the body at a URL.

        Raises:
            ValueError: The URL is not http(s).
            HTTPStatusError: The status is 400 or more.
        """
        if not given(url, "url").startswith(("http://", "https://")):
            raise ValueError(f"url= must be an http(s): URL, not {url[:200]!r}")
        return await self._core.api.fetch(url, headers)

    async def asset_to_io(self, asset_ref: Any) -> IO[bytes]:
        """Return the content of a ref: its `data`, else its `asset_id`, else its `uri`.

        Raises:
            ValueError: The ref is empty.
        """
        data, asset_id, uri = ref_parts(asset_ref)
        if data is not None:
            return io.BytesIO(ref_bytes(data))
        if asset_id:
            return await self.download_asset(asset_id)
        if uri:
            return await self.download_file(uri)
        raise ValueError("the ref is empty: it has no data, asset_id or uri")

    async def asset_to_bytes(self, asset_ref: Any) -> bytes:
        """Return the content of a ref as bytes."""
        with await self.asset_to_io(asset_ref) as file:
            return await self._core.bulk.run(file.read)

    async def refresh_uri(self, asset: Any) -> Any:
        """Set `uri` of a ref to a new presigned URL; return the ref.

        Raises:
            ValueError: The ref is neither an asset nor a temporary file.
        """
        _, asset_id, uri = ref_parts(asset)
        if asset_id:
            fresh = await self.get_asset_url(asset_id)
        elif uri:
            fresh = await self._presigned_temp_url(temp_id_of(uri))
        else:
            raise ValueError("the ref has neither an asset_id nor the uri of a temporary file")
        if isinstance(asset, dict):
            asset["uri"] = fresh
        else:
            asset.uri = fresh
        return asset

    async def _without_bytes(self, value: Any) -> Any:
        """Return a value as JSON; bytes in its refs are stored as temporary files."""
        return await without_bytes(value, open_ref=self.asset_to_io, store=self._store_temp)

    def _local_path(self, url: str, *, is_uri: bool) -> Path:
        if not self.allow_local_files:
            raise ValueError(
                f"{url!r} is a local file: pass allow_local_files=True to ProcessingContext "
                "to allow reading local files"
            )
        parts = urlsplit(url)
        if is_uri and parts.netloc not in ("", "localhost"):
            raise ValueError(f"{url!r} is a file of another machine, {parts.netloc}")
        return Path(url2pathname(parts.path) if is_uri else url)


def _credentials(api: Api, url: str) -> dict[str, str]:
    """Return the headers with the token for URLs of the service, and no headers for others."""
    is_own = api.is_configured and url.startswith(api.base_url + _SERVICE_PATH)
    return {**api.auth_headers(), **transfer_headers()} if is_own else {}
