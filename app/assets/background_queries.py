"""Statements on the background work after an upload: checksums and media metadata.

Due times are stored in the rows, so that any replica can claim the work, also after a crash.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from app.database.statement import Executor, Query, Scalar, Statement


class UncheckedAsset(NamedTuple):
    """Row of an asset whose SHA-256 is due."""

    id: str
    version: str


class UninspectedAsset(NamedTuple):
    """Row of an asset whose media metadata are due."""

    id: str
    user_id: str
    version: str
    size: int
    content_type: str
    name: str


# Not as `is not null`: rows that are found by their id must not be looked for in a partial index.
_SHA256_IS_DUE = "coalesce(sha256_due, 'infinity') < 'infinity'"
_FACTS_ARE_DUE = "coalesce(facts_due, 'infinity') < 'infinity'"

_CLAIM_SHA256 = Query(
    """
update assets set sha256_due = now() + :lease::interval
where id = (
  select id from assets where sha256_due <= now() and status = 'ready'
  order by sha256_due limit 1 for update skip locked)
returning id, version""",
    UncheckedAsset,
)
_DELAY_SHA256 = Statement(
    f"""
update assets set sha256_due = now() + :delay::interval
where id = :id and version = :version and {_SHA256_IS_DUE}"""
)
_SET_SHA256 = Scalar(
    f"""
update assets set
  status = case when sha256 <> :sha256 then 'corrupt' else status end,
  sha256 = :sha256, sha256_due = null, updated_at = now()
where id = :id and version = :version and {_SHA256_IS_DUE}
returning status""",
    str,
)
_CLAIM_MEDIA_METADATA = Query(
    """
update assets set facts_due = now() + :lease::interval
where id in (
  select id from assets where facts_due <= now() and status = 'ready'
  order by facts_due limit :limit for update skip locked)
returning id, user_id, version, size, content_type, name""",
    UninspectedAsset,
)
_SET_MEDIA_METADATA = Statement(
    f"""
update assets
set width = :width, height = :height, duration = :duration, content_type = :content_type,
    facts_due = null
where id = :id and version = :version and {_FACTS_ARE_DUE}"""
)


async def claim_sha256(on: Executor, lease: timedelta) -> UncheckedAsset | None:
    """Lease and return an asset whose SHA-256 is due; None if there is no such asset."""
    return await _CLAIM_SHA256.one(on, lease=lease)


async def delay_sha256(on: Executor, asset: UncheckedAsset, delay: timedelta) -> None:
    """Postpone the due time of an asset's SHA-256, or renew the lease on it."""
    await _DELAY_SHA256.execute(on, **asset._asdict(), delay=delay)


async def set_sha256(on: Executor, asset: UncheckedAsset, sha256: str) -> str | None:
    """Set an asset's SHA-256; return its status, or None if the bytes have been replaced."""
    return await _SET_SHA256.value(on, **asset._asdict(), sha256=sha256)


async def claim_media_metadata(
    on: Executor, lease: timedelta, *, limit: int
) -> list[UninspectedAsset]:
    """Lease and return assets whose media metadata are due."""
    return await _CLAIM_MEDIA_METADATA.all(on, lease=lease, limit=limit)


async def set_media_metadata(
    on: Executor,
    asset: UninspectedAsset,
    *,
    content_type: str,
    width: int | None,
    height: int | None,
    duration: float | None,
) -> None:
    """Set an asset's media metadata unless its bytes have been replaced."""
    await _SET_MEDIA_METADATA.execute(
        on,
        id=asset.id,
        version=asset.version,
        content_type=content_type,
        width=width,
        height=height,
        duration=duration,
    )
