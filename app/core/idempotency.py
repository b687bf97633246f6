"""`Idempotency-Key`: a POST that creates, sent twice, creates once.

A mark is set, in a transaction of its own, before the work; the transaction that makes the object
also writes its id into the mark. A mark without an object expires soon after the request that set
it stopped renewing it, so a crash blocks a key for seconds only; a failure removes it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

import orjson
from fastapi import Depends
from pydantic import BaseModel
from sqlalchemy import LargeBinary, String, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from starlette.requests import Request
from starlette.responses import Response

from app.core.auth import current_principal
from app.core.db import Base, Connection, Database
from app.core.errors import BadRequest, Conflict, Invalid, is_database_away
from app.core.ids import new_id

logger = logging.getLogger(__name__)

MARK_TTL_S = 15
RENEW_S = 5
REPLAY_HEADER = "Idempotent-Replay"


class IdempotencyKeyRow(Base):
    """A key, who used it on which route, and what it made."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request: Mapped[str] = mapped_column(String(32))
    fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary)
    object_id: Mapped[str | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class IdempotencyInFlight(Conflict):
    """The first request with this key is still running."""

    code = "idempotency_in_flight"
    detail = "The first request with this Idempotency-Key is still running: try again soon."


class IdempotencyKeyReused(Invalid):
    """The key came before with another body."""

    code = "idempotency_key_reused"
    detail = (
        "This Idempotency-Key was used before with another body: take a new key for a new request."
    )


class BadIdempotencyKey(BadRequest):
    """Not a key."""

    code = "invalid_idempotency_key"
    detail = "An Idempotency-Key has 1 to 255 printable ASCII characters."


_MARK = f"""
insert into idempotency_keys (user_id, route, key, request, fingerprint, expires_at)
values ($1, $2, $3, $4, $5, now() + interval '{MARK_TTL_S} s')
on conflict (user_id, route, key) do update
set request = excluded.request, fingerprint = excluded.fingerprint, object_id = null,
    expires_at = excluded.expires_at
where idempotency_keys.expires_at < now()
returning 1"""
_READ = """
select fingerprint, object_id from idempotency_keys
where user_id = $1 and route = $2 and key = $3"""
_RENEW = f"""
update idempotency_keys set expires_at = now() + interval '{MARK_TTL_S} s'
where user_id = $1 and route = $2 and key = $3 and request = $4 and object_id is null"""
_RELEASE = """
delete from idempotency_keys
where user_id = $1 and route = $2 and key = $3 and request = $4 and object_id is null"""
_DONE = """
update idempotency_keys set object_id = {0}5, fingerprint = {0}6, expires_at = now() + interval '24
h'
where user_id = {0}1 and route = {0}2 and key = {0}3 and request = {0}4"""
_DONE_ASYNCPG = _DONE.format("$")
_DONE_SESSION = text(_DONE.format(":p"))
_DELETE_OF = """
delete from idempotency_keys where ctid in (
  select ctid from idempotency_keys where user_id = $1 limit $2)
returning 1"""
_PURGE = "delete from idempotency_keys where expires_at < now()"


def fingerprint_of(*parts: BaseModel | bytes | str) -> bytes:
    """Return the hash that tells one body from another."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, BaseModel):
            part = orjson.dumps(part.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
        elif isinstance(part, str):
            part = part.encode()
        digest.update(hashlib.sha256(part).digest())
    return digest.digest()


class Once:
    """The Idempotency-Key of one request; without a key every call does nothing.

    Raises:
        BadIdempotencyKey: It is no key.
    """

    def __init__(self, db: Database, user_id: str, route: str, key: str | None) -> None:
        if key is not None and not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
            raise BadIdempotencyKey
        self._db = db
        self._id = (user_id, route, key or "")
        self._request = new_id()
        self._has_key = key is not None
        self._is_marked = False
        self._fingerprint: bytes | None = None
        self._renewal: asyncio.Task[None] | None = None

    async def begin(self, fingerprint: bytes | None = None) -> str | None:
        """Return the id of what an earlier request made, or None: go on and make it.

        Args:
            fingerprint: Of the body; None when it is known only at the end, after the bytes have
            come. The
                caller then holds what it has read against the first one with `check`.

        Raises:
            IdempotencyInFlight: The first one is still at it.
            IdempotencyKeyReused: It came with another body.
        """
        if not self._has_key:
            return None
        self._fingerprint = fingerprint
        for _ in range(3):
            if await self._db.pool.fetchval(_MARK, *self._id, self._request, fingerprint):
                self._is_marked = True
                self._renewal = asyncio.create_task(self._renew())
                return None
            row = await self._db.pool.fetchrow(_READ, *self._id)
            if row is not None:
                break
        else:
            raise IdempotencyInFlight
        if row["object_id"] is None:
            raise IdempotencyInFlight
        self._fingerprint = row["fingerprint"]
        if fingerprint is not None:
            self.check(fingerprint)
        return str(row["object_id"])

    def check(self, fingerprint: bytes) -> None:
        """Hold a body that was read after `begin` against that of the first request.

        Raises:
            IdempotencyKeyReused: They differ.
        """
        if fingerprint != self._fingerprint:
            raise IdempotencyKeyReused

    async def done(
        self, on: AsyncSession | Connection, object_id: str, fingerprint: bytes | None = None
    ) -> None:
        """Write down what was made, in the transaction that made it."""
        if not self._is_marked:
            return
        args = (*self._id, self._request, object_id, fingerprint or self._fingerprint)
        if isinstance(on, AsyncSession):
            named = {f"p{number}": value for number, value in enumerate(args, 1)}
            await on.execute(_DONE_SESSION, named)
        else:
            await on.execute(_DONE_ASYNCPG, *args)

    async def close(self, *, has_failed: bool) -> None:
        """End the renewal; after a failure the key is free again."""
        if self._renewal is not None:
            self._renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewal
        if has_failed and self._is_marked:
            try:
                await self._db.pool.execute(_RELEASE, *self._id, self._request)
            except Exception as exc:
                if not is_database_away(exc):
                    raise
                logger.warning("an idempotency mark stays until it expires: %s", exc)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._db.pool.execute(_RENEW, *self._id, self._request)
            except Exception as exc:
                if not is_database_away(exc):
                    raise
                logger.warning("an idempotency mark was not renewed: %s", exc)


async def delete_all_of(db: Database, user_id: str, *, limit: int) -> int:
    """Remove some of a user's keys; return how many."""
    return len(await db.pool.fetch(_DELETE_OF, user_id, limit))


async def purge(db: Database) -> None:
    """Remove the keys that have expired."""
    await db.pool.execute(_PURGE)


def replayed(response: Response) -> None:
    """Say that the answer is that of an earlier request."""
    response.headers[REPLAY_HEADER] = "true"


async def _once(request: Request) -> AsyncIterator[Once]:
    key = request.headers.get("idempotency-key")
    user_id = current_principal(request).user_id
    once = Once(request.app.state.db, user_id, request.url.path, key)
    try:
        yield once
    except BaseException:
        await asyncio.shield(once.close(has_failed=True))
        raise
    await once.close(has_failed=False)


OnceDep = Annotated[Once, Depends(_once)]
"""The request's Idempotency-Key. It outlives the transaction: a failed commit frees the key."""
