"""How many bytes a user may store: the setting, or a value of his own.

Reserved uploads count with the size that they declared. Temporary files do not count: they go by
themselves, and a preview that failed would cost a job.
"""

from __future__ import annotations

from app.assets import queries
from app.database.engine import Database
from app.database.statement import Connection
from app.http.auth import Principal
from app.http.problems import Forbidden


class QuotaExceeded(Forbidden):
    """The user would have more bytes than he may."""

    code = "quota_exceeded"


class Quota:
    """The quota of one user; without one, nothing is asked of the database."""

    def __init__(self, db: Database, principal: Principal) -> None:
        self._db = db
        self._user_id = principal.user_id
        self._limit = principal.quota_bytes

    async def room(self, *, needed: int = 0, freed: int = 0) -> int | None:
        """Return how many bytes may come; None: any number. To be asked before they do.

        Args:
            needed: How many are announced.
            freed: How many go when they come.

        Raises:
            QuotaExceeded: Those announced are too many.
        """
        if self._limit is None:
            return None
        room = max(0, self._limit - await self._used(self._db.pool) + freed)
        if needed > room:
            raise self._exceeded()
        return room

    async def hold(self, on: Connection) -> None:
        """Hold the quota at the end of a transaction that added bytes, others at the same time.

        Raises:
            QuotaExceeded: There are too many now.
        """
        if self._limit is None:
            return
        # The sum is a statement of its own: its snapshot has to be younger than the lock.
        await on.execute(queries.LOCK_BYTES, self._user_id)
        if await self._used(on) > self._limit:
            raise self._exceeded()

    def check(self, size: int, room: int | None) -> None:
        """Hold what has come against what `room` said.

        Raises:
            QuotaExceeded: It is more.
        """
        if room is not None and size > room:
            raise self._exceeded()

    async def _used(self, on: queries.On) -> int:
        used: int = await on.fetchval(queries.USED_BYTES, self._user_id)
        return used

    def _exceeded(self) -> QuotaExceeded:
        return QuotaExceeded(
            f"Your files would take more than your quota of {self._limit} bytes: "
            "delete some, or ask an administrator for more."
        )
