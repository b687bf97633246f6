"""Presigned URLs to get and to put temporary files."""

from __future__ import annotations

from app.http import content_headers
from app.settings import Settings
from app.storage import Network, Storage
from app.temp.queries import TempRecord


class TempUrls:
    """Signs URLs of temporary files for the network of the caller."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage = storage
        self._get_ttl_s = settings.url_ttl_s
        self._put_ttl_s = min(settings.upload_url_ttl_s, settings.temp_ttl_s)

    def to_get(
        self,
        file: TempRecord,
        network: Network,
        expires_s: int | None = None,
        *,
        method: str = "GET",
    ) -> str:
        """Return a URL to get the bytes, valid for `expires_s` or the time in the settings.

        `method` is the method that the URL permits, GET or HEAD.
        """
        is_inline = content_headers.is_safe_inline(file.content_type)
        return self._storage.presign_get(
            self._storage.temp,
            file.id,
            network=network,
            expires_s=expires_s or self._get_ttl_s,
            content_type=content_headers.header_of(file.content_type),
            disposition=None if is_inline else content_headers.disposition("attachment", file.id),
            method=method,
        )

    def to_put(self, file: TempRecord, network: Network) -> str:
        """Return a URL to put the bytes; a declared size is signed as Content-Length."""
        return self._storage.presign_put(
            self._storage.temp,
            file.id,
            network=network,
            expires_s=self._put_ttl_s,
            headers=None if file.size is None else {"Content-Length": str(file.size)},
        )
