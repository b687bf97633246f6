"""URLs of many files at once: assets and temporary files."""

from __future__ import annotations

from collections.abc import Sequence

from app.assets.presigned_urls import PresignedUrls
from app.assets.service import AssetService
from app.storage import Network
from app.temp.presigned_urls import TempUrls
from app.temp.service import TempService


class UrlService:
    """Presigned URLs of many files."""

    def __init__(
        self, assets: AssetService, urls: PresignedUrls, temp: TempService, temp_urls: TempUrls
    ) -> None:
        self._assets = assets
        self._urls = urls
        self._temp = temp
        self._temp_urls = temp_urls

    async def get(
        self,
        user_id: str,
        asset_ids: Sequence[str],
        temp_ids: Sequence[str],
        *,
        network: Network,
        expires_s: int,
    ) -> dict[str, str]:
        """Return URLs by id of those files that are the user's and can be read."""
        urls = {
            asset.id: url
            for asset in await self._assets.get_contents(user_id, asset_ids)
            if (url := self._urls.to_get(asset, network, expires_s=expires_s)) is not None
        }
        for file in await self._temp.get_stored(user_id, temp_ids):
            urls[file.id] = self._temp_urls.to_get(file, network, expires_s)
        return urls
