"""Presigned URLs to get and to put the bytes of assets."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, NamedTuple

from app.assets.object_keys import key_of
from app.assets.part_plan import PartPlan
from app.assets.queries import AssetRecord, ContentRecord
from app.http import content_headers
from app.settings import Settings
from app.storage import Network, Storage
from processing_context.wire.assets import FOLDER


class PutUrl(NamedTuple):
    """Presigned URL for a PUT, and the headers to send with it."""

    url: str
    headers: dict[str, str]


class PresignedUrls:
    """Signs URLs of assets for the network of the caller."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage = storage
        self._get_ttl_s = settings.url_ttl_s
        self.put_ttl_s = settings.upload_url_ttl_s

    def to_get(
        self,
        asset: AssetRecord | ContentRecord,
        network: Network,
        *,
        expires_s: int | None = None,
        download: bool = False,
        method: str = "GET",
    ) -> str | None:
        """Return a URL to get the bytes; None for folders and assets that are not ready.

        Args:
            asset: The asset.
            network: The network of the caller.
            expires_s: The validity in seconds; None is the value of the settings.
            download: Make browsers save the file instead of showing it.
            method: The method that the URL permits, GET or HEAD.
        """
        if asset.status != "ready" or asset.content_type == FOLDER:
            return None
        disposition = None
        if download or not content_headers.is_safe_inline(asset.content_type):
            disposition = content_headers.disposition("attachment", asset.name)
        return self._storage.presign_get(
            self._storage.assets,
            key_of(asset),
            network=network,
            expires_s=expires_s or self._get_ttl_s,
            content_type=content_headers.header_of(asset.content_type),
            disposition=disposition,
            method=method,
        )

    def to_thumbnail(self, asset: AssetRecord, network: Network) -> str | None:
        """Return a URL to get the thumbnail in the default size; None if it does not exist."""
        if asset.thumb_key is None or asset.status != "ready":
            return None
        return self._storage.presign_get(
            self._storage.assets,
            asset.thumb_key,
            network=network,
            expires_s=self._get_ttl_s,
            content_type="image/webp",
        )

    def to_put(self, asset: AssetRecord, network: Network) -> PutUrl:
        """Return a URL for one PUT of the bytes of a pending asset.

        The Content-Length is signed too; it is not in the headers, as HTTP clients set it.
        """
        headers = {"If-None-Match": "*"}
        if asset.sha256 is not None:
            digest = bytes.fromhex(asset.sha256)
            headers["x-amz-checksum-sha256"] = base64.b64encode(digest).decode()
        url = self._storage.presign_put(
            self._storage.assets,
            key_of(asset),
            network=network,
            expires_s=self.put_ttl_s,
            headers=headers | {"Content-Length": str(asset.size)},
        )
        return PutUrl(url, headers)

    def to_put_parts(
        self, asset: AssetRecord, numbers: Iterable[int], network: Network
    ) -> list[dict[str, Any]]:
        """Return a URL for the PUT of each part; the Content-Length is signed too.

        The list is empty if the upload has been completed.
        """
        if asset.upload_id is None:
            return []
        plan, key, upload_id = PartPlan.of(asset), key_of(asset), asset.upload_id
        return [
            {
                "part_number": number,
                "url": self._storage.presign_part(
                    self._storage.assets,
                    key,
                    upload_id,
                    number,
                    network=network,
                    expires_s=self.put_ttl_s,
                    size=plan.size_of(number),
                ),
            }
            for number in numbers
        ]
