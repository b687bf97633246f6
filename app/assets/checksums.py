"""The SHA-256 of multipart uploads, worked out after they are complete.

What is due stands in the rows, so that any replica does it, and another one when that is killed.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from app.assets import queries
from app.assets.presigned_urls import key_of
from app.assets.queries import Row
from app.database.engine import Database
from app.database.errors import is_database_away
from app.storage import ObjectMissing, Storage, StorageUnavailable

logger = logging.getLogger(__name__)

CLAIM = timedelta(seconds=60)
RENEW_S = 20
RETRY = timedelta(seconds=10)
RETRY_MISSING = timedelta(hours=1)


async def check_due(db: Database, storage: Storage) -> int:
    """Work out what is due, one after the other; return how many. Replicas share the work."""
    done = 0
    while (row := await db.pool.fetchrow(queries.CLAIM_SHA256, CLAIM)) is not None:
        renewal = asyncio.create_task(_renew(db, row))
        try:
            sha256 = await storage.assets.sha256(key_of(row))
        except StorageUnavailable:
            await _delay(db, row, RETRY)
            break
        except ObjectMissing:
            # Deleted or replaced meanwhile; or lost, which a reader is told.
            await _delay(db, row, RETRY_MISSING)
            continue
        finally:
            renewal.cancel()
        status = await db.pool.fetchval(queries.SET_SHA256, row["id"], row["version"], sha256)
        if status == "corrupt":
            logger.warning("asset %s has another SHA-256 than declared: %s", row["id"], sha256)
        done += 1
    return done


async def _delay(db: Database, row: Row, delay: timedelta) -> None:
    await db.pool.execute(queries.DELAY_SHA256, row["id"], row["version"], delay)


async def _renew(db: Database, row: Row) -> None:
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            await _delay(db, row, CLAIM)
        except Exception as exc:
            if not is_database_away(exc):
                raise
            logger.warning("the check of a SHA-256 was not renewed: %s", exc)
