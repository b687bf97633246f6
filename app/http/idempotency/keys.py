"""Idempotency keys of requests that create one object or several."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import orjson
from pydantic import BaseModel

from app.database.engine import Database
from app.database.statement import Connection
from app.http.idempotency.errors import BadIdempotencyKey, IdempotencyKeyReused
from app.http.idempotency.open_keys import OpenKeys
from app.http.idempotency.reservation import KeyReservation, PreviousResult

MAX_KEY_CHARS = 255


def fingerprint_of(*parts: BaseModel | bytes | str) -> bytes:
    """Return a SHA-256 over the parts of a request body.

    Fields with their default values are left out, so that new optional fields change nothing.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, BaseModel):
            fields = part.model_dump(mode="json", exclude_defaults=True)
            part = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
        elif isinstance(part, str):
            part = part.encode()
        digest.update(hashlib.sha256(part).digest())
    return digest.digest()


def check_key(key: str) -> None:
    """Check the syntax of a key.

    Raises:
        BadIdempotencyKey: The key is empty, too long, or not printable ASCII.
    """
    if not (1 <= len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
        raise BadIdempotencyKey


class _Key:
    """Base class of the key of one request; without a key its methods do nothing.

    Raises:
        BadIdempotencyKey: The key is not valid.
    """

    def __init__(
        self, db: Database, open_keys: OpenKeys, user_id: str, route: str, key: str | None
    ) -> None:
        if key is not None:
            check_key(key)
        self._key = key
        self._reservation = KeyReservation(db, open_keys, user_id, route)
        self._fingerprint: bytes | None = None

    @property
    def is_given(self) -> bool:
        """True if the request has a key."""
        return self._key is not None

    async def close(self, *, has_failed: bool) -> None:
        """Stop renewing the reservation; release the key if the request has failed."""
        await self._reservation.close(has_failed=has_failed)


class IdempotencyKey(_Key):
    """Idempotency key of a request that creates one object."""

    _previous: PreviousResult | None = None

    async def begin(self, fingerprint: bytes | None = None) -> str | None:
        """Reserve the key; return the id of the object that an earlier request created, or None.

        Args:
            fingerprint: The fingerprint of the body; None if the body has not been read yet: the
                caller then compares the fingerprints with `check`.

        Raises:
            IdempotencyInFlight: The earlier request is still running.
            IdempotencyKeyReused: The earlier request had another body.
        """
        if self._key is None:
            return None
        self._fingerprint = fingerprint
        self._previous = (await self._reservation.begin({self._key: fingerprint})).get(self._key)
        return None if self._previous is None else self._previous.created(fingerprint)

    def check(self, fingerprint: bytes) -> None:
        """Compare a body that was read after `begin` with that of the earlier request.

        Raises:
            IdempotencyKeyReused: The earlier request had another body.
        """
        if self._previous is not None:
            self._previous.created(fingerprint)

    async def complete(
        self, on: Connection, object_id: str, fingerprint: bytes | None = None
    ) -> None:
        """Store the id of the created object, in the transaction that creates it.

        Raises:
            IdempotencyInFlight: The reservation has expired; another request may hold the key.
        """
        if self._key is not None and self._previous is None:
            created = {self._key: (object_id, fingerprint or self._fingerprint)}
            await self._reservation.complete(on, created)


class BatchIdempotencyKey(_Key):
    """Idempotency key of a request that creates several objects atomically."""

    async def begin(self, fingerprint: bytes, count: int) -> list[str] | None:
        """Reserve the key; return the ids of the objects that an earlier request created, or None.

        Args:
            fingerprint: The fingerprint of the body.
            count: The number of objects that the request creates.

        Raises:
            IdempotencyInFlight: The earlier request is still running.
            IdempotencyKeyReused: The earlier request had another body.
        """
        if self._key is None:
            return None
        self._fingerprint = fingerprint
        keys = self._keys(count)
        previous = await self._reservation.begin(dict.fromkeys(keys, fingerprint))
        if not previous:
            return None
        created = [result.created(fingerprint) for result in previous.values()]
        if len(created) < count:
            raise IdempotencyKeyReused
        return [previous[key].created(fingerprint) for key in keys]

    async def complete(self, on: Connection, object_ids: Sequence[str]) -> None:
        """Store the ids of the created objects, in the transaction that creates them.

        Raises:
            IdempotencyInFlight: A reservation has expired; another request may hold the key.
        """
        if self._key is not None:
            keys = self._keys(len(object_ids))
            created = {
                key: (object_id, self._fingerprint)
                for key, object_id in zip(keys, object_ids, strict=True)
            }
            await self._reservation.complete(on, created)

    def _keys(self, count: int) -> list[str]:
        return [f"{self._key} {number}" for number in range(count)]
