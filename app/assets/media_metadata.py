"""Extraction of width, height and duration from media files after they are stored.

Due times are stored in the rows, so that any replica can claim the work, also after a crash.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import orjson

from app.assets import background_queries as queries
from app.assets.background_queries import UninspectedAsset
from app.assets.object_keys import key_of
from app.database.engine import Database
from app.media.decoders.errors import ConversionTimeout, DecodersBusy, SourceTooLarge, Undecodable
from app.media.decoders.pool import Decoders
from app.media.decoders.sources import Source, stored
from app.storage import Bucket, ObjectMissing, StorageUnavailable
from processing_context.wire import media_types

logger = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)
FUNCTIONS = {
    "image": "app.assets.image_decoding:facts",
    "audio": "app.assets.av_decoding:facts",
    "video": "app.assets.av_decoding:facts",
}


class MediaMetadata:
    """Extracts due media metadata in decoder processes."""

    def __init__(
        self, db: Database, bucket: Bucket, decoders: Decoders, *, max_pixels: int
    ) -> None:
        self._db = db
        self._bucket = bucket
        self._decoders = decoders
        self._max_pixels = max_pixels

    async def extract_due(self) -> int:
        """Extract the metadata of assets that are due; return their number.

        As many assets are processed concurrently as there are decoder processes.
        """
        done = 0
        while assets := await queries.claim_media_metadata(
            self._db.pool, LEASE, limit=self._decoders.processes
        ):
            results = await asyncio.gather(*map(self._extract, assets), return_exceptions=True)
            failures = [result for result in results if result is not None]
            done += len(assets) - len(failures)
            for failure in failures:
                if not isinstance(failure, (StorageUnavailable, DecodersBusy)):
                    raise failure
            if failures:
                logger.warning("extraction of media metadata is postponed: %s", failures[0])
                break
        return done

    async def _extract(self, asset: UninspectedAsset) -> None:
        content_type = asset.content_type
        found: dict[str, Any] = {}
        try:
            source = stored(self._bucket, key_of(asset), asset.size)
            head = await source.read(0, min(media_types.HEAD_BYTES, source.size))
            content_type = media_types.content_type_of(content_type, head, asset.name)
            found = await self._decode(
                source, media_types.sniff(head) or content_type, asset.user_id
            )
        except (Undecodable, SourceTooLarge, ConversionTimeout) as exc:
            logger.info("asset %s has no media metadata: %s", asset.id, exc)
        except ObjectMissing:
            logger.info("asset %s was deleted before its media metadata were extracted", asset.id)
        await queries.set_media_metadata(
            self._db.pool,
            asset,
            content_type=content_type,
            width=found.get("width"),
            height=found.get("height"),
            duration=found.get("duration"),
        )

    async def _decode(self, source: Source, content_type: str, user_id: str) -> dict[str, Any]:
        function = FUNCTIONS.get(media_types.kind_of(content_type))
        if function is None:
            return {}
        answer = await self._decoders.run(function, source, user_id, max_pixels=self._max_pixels)
        found: dict[str, Any] = orjson.loads(answer)
        return found
