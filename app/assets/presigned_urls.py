"""Presigned URLs of assets."""

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
    """A URL to put bytes to, and the headers that must be sent."""

    url: str
    headers: dict[str, str]


class PresignedUrls:
    """Presigned URLs of assets, for the network that the caller is in."""

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
    ) -> str | None:
        """Return a URL for the bytes; None where there are none to read.

        Args:
            asset: The asset.
            network: The network that the URL is for.
            expires_s: For how long it is valid; None: as the settings say.
            download: A browser saves the bytes instead of showing them.
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
        )

    def to_thumbnail(self, asset: AssetRecord, network: Network) -> str | None:
        """Return a URL for the thumbnail of the default size; None until it has been made."""
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
        """Return a URL to put the bytes of a pending asset to, once.

        Their length is signed too; HTTP clients send it by themselves.
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
        """Return for each part a URL to put it to; its length is signed too.

        An upload that has been completed has no URLs.
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
