"""Reservation of idempotency keys while a request is running.

Keys are reserved in a transaction of their own, before the work. The transaction that creates the
objects also stores their ids with the keys, and fails if a reservation has expired. A running
request renews its reservations. So a crash blocks a key for a few seconds only, and a failed
request releases its keys at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from app.database.engine import Database
from app.database.errors import is_database_away
from app.database.statement import Connection, Statement
from app.http.idempotency import queries
from app.http.idempotency.errors import IdempotencyInFlight, IdempotencyKeyReused
from app.http.idempotency.open_keys import OpenKeys
from app.runtime.ids import new_id

logger = logging.getLogger(__name__)

RENEW_S = 5
_ATTEMPTS = 3


class PreviousResult(NamedTuple):
    """Result of an earlier request with the same key; without an id while that one is running."""

    object_id: str | None
    fingerprint: bytes | None

    def created(self, fingerprint: bytes | None) -> str:
        """Return the id of the created object.

        Args:
            fingerprint: The fingerprint of the current request's body; None if not known yet.

        Raises:
            IdempotencyInFlight: The earlier request is still running.
            IdempotencyKeyReused: The earlier request had another body.
        """
        if self.object_id is None:
            raise IdempotencyInFlight
        if fingerprint is not None and fingerprint != self.fingerprint:
            raise IdempotencyKeyReused
        return self.object_id


class KeyReservation:
    """Reserved keys of one request, one for each object that it creates."""

    def __init__(self, db: Database, open_keys: OpenKeys, user_id: str, route: str) -> None:
        self._db = db
        self._open_keys = open_keys
        self._open_count = 0
        self._place: dict[str, Any] = {"user_id": user_id, "route": route}
        self._request = new_id()
        self._reserved: list[str] = []
        self._renewal: asyncio.Task[None] | None = None

    async def begin(self, wanted: Mapping[str, bytes | None]) -> dict[str, PreviousResult]:
        """Reserve keys; return the results of those that earlier requests have used.

        Args:
            wanted: The keys, each with the fingerprint of its body.

        Raises:
            QuotaExceeded: The running requests of the user have too many keys.
        """
        self._open_keys.add(self._place["user_id"], len(wanted))
        self._open_count += len(wanted)
        previous: dict[str, PreviousResult] = {}
        left = dict(wanted)
        for _ in range(_ATTEMPTS):  # a key may be released between the two statements
            self._reserved += (reserved := await self._reserve(left))
            for key in reserved:
                del left[key]
            for key, result in (await self._find(left)).items():
                previous[key] = result
                del left[key]
            if not left:
                break
        if self._reserved:
            self._renewal = asyncio.create_task(self._renew())
        return previous | {key: PreviousResult(None, None) for key in left}

    async def complete(
        self, on: Connection, created: Mapping[str, tuple[str, bytes | None]]
    ) -> None:
        """Store the ids and fingerprints of created objects, in the transaction that creates them.

        Raises:
            IdempotencyInFlight: A reservation has expired; another request may hold the key.
        """
        if not created:
            return
        ids, fingerprints = zip(*created.values(), strict=True)
        count = await queries.COMPLETE.execute(
            on,
            **self._place,
            request=self._request,
            keys=list(created),
            object_ids=list(ids),
            fingerprints=list(fingerprints),
        )
        if count < len(created):
            raise IdempotencyInFlight

    async def close(self, *, has_failed: bool) -> None:
        """Stop renewing; if the request has failed, release the keys without a created object."""
        self._open_keys.remove(self._place["user_id"], self._open_count)
        self._open_count = 0
        if self._renewal is not None:
            self._renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewal
        if has_failed and self._reserved:
            await self._run(
                queries.RELEASE, "idempotency keys were not released and will expire instead"
            )

    async def _reserve(self, wanted: Mapping[str, bytes | None]) -> list[str]:
        return await queries.RESERVE.values(
            self._db.pool,
            **self._place,
            request=self._request,
            keys=list(wanted),
            fingerprints=list(wanted.values()),
        )

    async def _find(self, wanted: Mapping[str, bytes | None]) -> dict[str, PreviousResult]:
        if not wanted:
            return {}
        rows = await queries.FIND.all(self._db.pool, **self._place, keys=list(wanted))
        return {row.key: PreviousResult(row.object_id, row.fingerprint) for row in rows}

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            await self._run(queries.RENEW, "the reservation of idempotency keys was not renewed")

    async def _run(self, statement: Statement, failure: str) -> None:
        """Run a statement on the reserved keys; log a warning if the database cannot be reached."""
        try:
            await statement.execute(
                self._db.pool, **self._place, request=self._request, keys=self._reserved
            )
        except Exception as exc:
            if not is_database_away(exc):
                raise
            logger.warning("%s: %s", failure, exc)
