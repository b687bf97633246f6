"""Quota for the bytes of a user's temporary files.

Without a quota there is no query. Files whose size was not declared count once they are stored;
the quota limits how many of those can be open at a time.
"""

from __future__ import annotations

from app.database.engine import Database
from app.http.quotas import QuotaExceeded
from app.storage import Bucket, ObjectMissing
from app.temp import queries
from app.temp.recent_totals import RecentTotals

MAX_UNDECLARED = 20


class TempQuota:
    """Limits the bytes of temporary files per user.

    Args:
        db: The database.
        bucket: The bucket of temporary files.
        quota_bytes: The quota; None for no limit.
    """

    def __init__(self, db: Database, bucket: Bucket, quota_bytes: int | None) -> None:
        self._db = db
        self._bucket = bucket
        self._quota_bytes = quota_bytes
        self._used = RecentTotals(self._read)

    async def remaining(self, user_id: str, *, needed: int = 0) -> int | None:
        """Return the number of bytes that a user may still store; None if there is no quota.

        Raises:
            QuotaExceeded: `needed` is more than that.
        """
        if self._quota_bytes is None:
            return None
        remaining = max(0, self._quota_bytes - await self._used.get(user_id))
        self.check(needed, remaining)
        return remaining

    def check(self, size: int, remaining: int | None) -> None:
        """Compare a size with the remaining bytes.

        Raises:
            QuotaExceeded: The size is larger.
        """
        if remaining is not None and size > remaining:
            raise QuotaExceeded(
                f"The file would exceed the quota of {self._quota_bytes} bytes for the temporary "
                "files of a user: delete some, or wait until they expire."
            )

    async def check_undeclared(self, user_id: str) -> None:
        """Check that a user may reserve one more file without declaring its size.

        Raises:
            QuotaExceeded: The user has too many of them.
        """
        if self._quota_bytes is None:
            return
        if len(await self._undeclared(user_id)) >= MAX_UNDECLARED:
            raise QuotaExceeded(
                f"{MAX_UNDECLARED} temporary files without a declared `size` are not uploaded: "
                "declare the size, or upload them first."
            )

    def add(self, user_id: str, size: int) -> None:
        """Count the bytes of a new file, or with a negative size those of a deleted one."""
        self._used.add(user_id, size)

    async def _read(self, user_id: str) -> int:
        await self._undeclared(user_id)
        return await queries.used(self._db.pool, user_id)

    async def _undeclared(self, user_id: str) -> list[str]:
        """Return the files of unknown size that are not stored, and record those that are."""
        missing = []
        for temp_id in await queries.undeclared(self._db.pool, user_id, limit=MAX_UNDECLARED):
            try:
                size = (await self._bucket.head(temp_id)).size
            except ObjectMissing:
                missing.append(temp_id)
            else:
                await queries.mark_stored(self._db.pool, temp_id, size=size)
        return missing
