"""Width, height and duration of media, found out after the bytes are there.

What is due stands in the rows, so that any replica does it, and another one when that is killed.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import orjson

from app.assets.presigned_urls import key_of
from app.assets.queries import Row
from app.database.engine import Database
from app.media.decoders.errors import ConversionTimeout, DecodersBusy, SourceTooLarge, Undecodable
from app.media.decoders.pool import Decoders
from app.media.decoders.sources import Source, stored
from app.storage import ObjectMissing, Storage, StorageUnavailable
from processing_context.wire import media_types

logger = logging.getLogger(__name__)

CLAIM = timedelta(minutes=5)
FUNCTIONS = {
    "image": "app.assets.image_decoding:facts",
    "audio": "app.assets.av_decoding:facts",
    "video": "app.assets.av_decoding:facts",
}
_CLAIM = """
update assets set facts_due = now() + $1::interval
where id in (
  select id from assets where facts_due <= now() and status = 'ready'
  order by facts_due limit $2 for update skip locked)
returning id, version, size, content_type, name"""
_SET = """
update assets set width = $3, height = $4, duration = $5, content_type = $6, facts_due = null
where id = $1 and version = $2 and facts_due is not null"""


class Facts:
    """Finds out what is due."""

    def __init__(
        self, db: Database, storage: Storage, decoders: Decoders, *, max_pixels: int
    ) -> None:
        self._db = db
        self._storage = storage
        self._decoders = decoders
        self._max_pixels = max_pixels

    async def work_off(self) -> int:
        """Find out what is due, as many at once as decoders run; return how many."""
        done = 0
        while rows := await self._db.pool.fetch(_CLAIM, CLAIM, self._decoders.processes):
            ends = await asyncio.gather(*map(self._settle, rows), return_exceptions=True)
            failures = [end for end in ends if end is not None]
            done += len(rows) - len(failures)
            for failure in failures:
                if not isinstance(failure, (StorageUnavailable, DecodersBusy)):
                    raise failure
            if failures:
                logger.warning("width, height and duration wait: %s", failures[0])
                break
        return done

    async def _settle(self, row: Row) -> None:
        content_type = row["content_type"]
        found: dict[str, Any] = {}
        try:
            source = stored(self._storage.assets, key_of(row), row["size"])
            head = await source.read(0, min(media_types.HEAD_BYTES, source.size))
            content_type = media_types.content_type_of(content_type, head, row["name"])
            found = await self._find(source, media_types.sniff(head) or content_type)
        except (Undecodable, SourceTooLarge, ConversionTimeout) as exc:
            logger.info("asset %s keeps its facts to itself: %s", row["id"], exc)
        except ObjectMissing:
            logger.info("the bytes of asset %s have gone before they were looked at", row["id"])
        facts = (found.get("width"), found.get("height"), found.get("duration"))
        await self._db.pool.execute(_SET, row["id"], row["version"], *facts, content_type)

    async def _find(self, source: Source, content_type: str) -> dict[str, Any]:
        function = FUNCTIONS.get(media_types.kind_of(content_type))
        if function is None:
            return {}
        answer = await self._decoders.run(function, source, max_pixels=self._max_pixels)
        found: dict[str, Any] = orjson.loads(answer)
        return found
