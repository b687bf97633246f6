"""Quotas for the bytes of a user's assets, and for their open uploads.

Reserved uploads count with their declared size. Temporary files have a quota of their own: they
expire, and a preview that exceeds this quota should not make a job fail.
"""

from __future__ import annotations

from app.assets import quota_queries as queries
from app.database.engine import Database
from app.database.statement import Connection
from app.http.auth import Principal
from app.http.quotas import CountQuota, QuotaExceeded


class Quotas:
    """Enforces the quotas of users; without a quota there is no query."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def remaining(
        self, principal: Principal, *, needed: int = 0, freed: int = 0
    ) -> int | None:
        """Return the number of bytes that the user may still store; None if there is no quota.

        This early check before an upload does not replace `enforce`.

        Args:
            principal: The user.
            needed: The announced size of the upload in bytes.
            freed: The size of the bytes that the upload replaces.

        Raises:
            QuotaExceeded: `needed` is more than the remaining bytes.
        """
        if principal.quota_bytes is None:
            return None
        used = await queries.used(self._db.pool, principal.user_id)
        remaining = max(0, principal.quota_bytes - used + freed)
        check_remaining(principal, needed, remaining)
        return remaining

    async def enforce(self, on: Connection, principal: Principal) -> None:
        """Check the quota at the end of a transaction that added bytes.

        Concurrent transactions of the user are serialized by a lock.

        Raises:
            QuotaExceeded: The upload would exceed the quota of the user.
        """
        if principal.quota_bytes is None:
            return
        # A separate statement, because the snapshot of the sum must be newer than the lock.
        await queries.lock(on, principal.user_id)
        if await queries.used(on, principal.user_id) > principal.quota_bytes:
            raise _exceeded(principal)


def open_uploads_quota(db: Database, *, limit: int) -> CountQuota:
    """Return the quota for the reserved uploads of a user."""

    async def count(user_id: str, limit: int) -> int:
        return await queries.open_uploads(db.pool, user_id, limit=limit)

    remedy = "complete or abort some."
    return CountQuota("open uploads", limit, count, remedy=remedy)


def check_remaining(principal: Principal, size: int, remaining: int | None) -> None:
    """Check a size against the remaining bytes of a user's quota; None is no limit.

    Raises:
        QuotaExceeded: The size is larger.
    """
    if remaining is not None and size > remaining:
        raise _exceeded(principal)


def _exceeded(principal: Principal) -> QuotaExceeded:
    return QuotaExceeded(
        f"The upload would exceed the user's quota of {principal.quota_bytes} bytes: delete "
        "assets, or ask an administrator for a larger quota."
    )
