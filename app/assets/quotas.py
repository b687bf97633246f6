"""Quotas: how many bytes the assets of a user may have.

Reserved uploads count with the size that they declared. Temporary files do not count: they expire,
and a preview that failed would cost a job.
"""

from __future__ import annotations

from app.assets import quota_queries as queries
from app.assets.errors import QuotaExceeded
from app.database.engine import Database
from app.database.statement import Connection
from app.http.auth import Principal


class Quotas:
    """The quotas of users; without one, the database is not asked."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def remaining(
        self, principal: Principal, *, needed: int = 0, freed: int = 0
    ) -> int | None:
        """Return how many more bytes the user may store; None: no limit. For use before an upload.

        Args:
            principal: The user.
            needed: How many bytes are announced.
            freed: How many bytes the upload replaces.

        Raises:
            QuotaExceeded: More bytes are announced than remain.
        """
        if principal.quota_bytes is None:
            return None
        used = await queries.used(self._db.pool, principal.user_id)
        remaining = max(0, principal.quota_bytes - used + freed)
        check_remaining(principal, needed, remaining)
        return remaining

    async def enforce(self, on: Connection, principal: Principal) -> None:
        """Check the quota at the end of a transaction that added bytes.

        Concurrent transactions of the user wait for each other here.

        Raises:
            QuotaExceeded: The user now has more bytes than the quota.
        """
        if principal.quota_bytes is None:
            return
        # The sum is a statement of its own: its snapshot has to be younger than the lock.
        await queries.lock(on, principal.user_id)
        if await queries.used(on, principal.user_id) > principal.quota_bytes:
            raise _exceeded(principal)


def check_remaining(principal: Principal, size: int, remaining: int | None) -> None:
    """Check a size against the remaining bytes of a user; None: no limit.

    Raises:
        QuotaExceeded: It is more.
    """
    if remaining is not None and size > remaining:
        raise _exceeded(principal)


def _exceeded(principal: Principal) -> QuotaExceeded:
    return QuotaExceeded(
        f"Your files would take more than your quota of {principal.quota_bytes} bytes: "
        "delete some, or ask an administrator for more."
    )
