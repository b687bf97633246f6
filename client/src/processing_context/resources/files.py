"""Bytes from anywhere: URLs, data URIs, refs, local files."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from processing_context._arguments import given
from processing_context._transport.api import Http
from processing_context._transport.bulk import Bytes
from processing_context.resources.assets import Assets
from processing_context.resources.temp import TempFiles, temp_id_of

_SERVICE_PATH = "/v1/"


class Files:
    """Reads what a URL or a ref names.

    Args:
        http: Knows the service, whose URLs are read with its token.
        transport: Moves the bytes.
        assets: For refs with an `asset_id`.
        temp: For refs to temporary files.
        allow_local_files: Whether `file:` and absolute paths may be read.
    """

    def __init__(
        self,
        http: Http,
        transport: Bytes,
        assets: Assets,
        temp: TempFiles,
        *,
        allow_local_files: bool,
    ) -> None:
        self._http = http
        self._bytes = transport
        self._assets = assets
        self._temp = temp
        self._allow_local_files = allow_local_files

    async def download(self, url: str) -> IO[bytes]:
        """Return the bytes of a URL; see `ProcessingContext.download_file`."""
        scheme = urlsplit(given(url, "url")).scheme
        if scheme == "data":
            return io.BytesIO(from_data_uri(url))
        if url.startswith(_SERVICE_PATH):
            url = self._http.base_url + url
        if url.startswith(("http://", "https://")):
            headers = {"User-Agent": "processing-context", **self._credentials(url)}
            return (await self._bytes.get(url, headers=headers)).file
        if scheme == "file" or Path(url).is_absolute():
            return await self._open_local(url, is_uri=scheme == "file")
        raise ValueError(
            f"cannot download {url[:200]!r}: an http(s): or data: URL is wanted, or one of the "
            "service's storage routes"
        )

    async def open_ref(self, ref: Any) -> IO[bytes]:
        """Return the bytes that a ref names: `data`, else `asset_id`, else `uri`.

        Raises:
            ValueError: It names nothing, or is no ref.
        """
        data, asset_id, uri = ref_parts(ref)
        if data is not None:
            return io.BytesIO(ref_bytes(data))
        if asset_id:
            return await self._assets.download(asset_id)
        if uri:
            return await self.download(uri)
        raise ValueError("the ref is empty: it has no data, asset_id or uri")

    async def refresh(self, ref: Any) -> Any:
        """Set `uri` of a ref to a fresh presigned URL.

        Raises:
            ValueError: It is neither an asset nor a temporary file.
        """
        _, asset_id, uri = ref_parts(ref)
        if asset_id:
            fresh = await self._assets.url(asset_id)
        elif uri:
            fresh = await self._temp.url(temp_id_of(uri))
        else:
            raise ValueError("the ref has neither an asset_id nor the uri of a temporary file")
        if isinstance(ref, dict):
            ref["uri"] = fresh
        else:
            ref.uri = fresh
        return ref

    def _credentials(self, url: str) -> dict[str, str]:
        if not self._http.is_configured:
            return {}
        is_ours = url.startswith(self._http.base_url + _SERVICE_PATH)
        return self._http.auth_headers() if is_ours else {}

    async def _open_local(self, url: str, *, is_uri: bool) -> IO[bytes]:
        if not self._allow_local_files:
            raise ValueError(
                f"{url!r} is a local file, and those are not read unless "
                "ProcessingContext(allow_local_files=True) says so"
            )
        parts = urlsplit(url)
        if is_uri and parts.netloc not in ("", "localhost"):
            raise ValueError(f"{url!r} names a file of another machine, {parts.netloc}")
        path = Path(url2pathname(parts.path) if is_uri else url)
        return await self._bytes.run(path.open, "rb")


def ref_parts(ref: Any) -> tuple[Any, str | None, str]:
    """Return `data`, `asset_id` and `uri` of anything that has the shape of a ref.

    Raises:
        ValueError: It has not.
    """
    if isinstance(ref, Mapping) and "type" in ref:
        return ref.get("data"), ref.get("asset_id"), ref.get("uri") or ""
    if all(hasattr(ref, name) for name in ("uri", "asset_id", "data")):
        return ref.data, ref.asset_id, ref.uri or ""
    raise ValueError(
        f"a ref is wanted (uri, asset_id, data; as a dict with its type), not {type(ref).__name__}"
    )


def from_base64(text: str) -> bytes:
    """Return what base64 text holds; white space in it does not matter.

    Raises:
        ValueError: It is not base64.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ValueError(f"not base64: {exc}") from exc


def from_data_uri(uri: str) -> bytes:
    """Return the bytes of a data URI, base64 or percent-encoded.

    Raises:
        ValueError: It has no comma, or its base64 is wrong.
    """
    head, comma, body = uri.partition(",")
    if not comma:
        raise ValueError(f"not a data URI, it has no comma: {uri[:60]!r}")
    raw = unquote_to_bytes(body)
    if head.lower().endswith(";base64"):
        return from_base64(raw.decode("ascii", "replace"))
    return raw


def ref_bytes(data: Any) -> bytes:
    """Return the bytes in the `data` of a ref; base64 where the ref came as JSON.

    Raises:
        ValueError: It holds something else.
    """
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    if isinstance(data, str):  # a ref that came as JSON
        return from_data_uri(data) if data.startswith("data:") else from_base64(data)
    raise ValueError(f"the data of the ref is a {type(data).__name__}, not bytes")
