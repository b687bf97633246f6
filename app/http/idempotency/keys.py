"""`Idempotency-Key`: a POST that creates, sent twice, creates once.

A mark is set, in a transaction of its own, before the work; the transaction that makes the object
also writes its id into the mark, and fails where that is not there any more. A mark without an
object expires soon after the request that set it stopped renewing it, so a crash blocks a key for
seconds only; a failure removes it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Annotated, Generic, NamedTuple, TypeVar

import orjson
from fastapi import Depends
from pydantic import BaseModel
from sqlalchemy import LargeBinary, String, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from starlette.requests import Request
from starlette.responses import Response

from app.database.engine import Database
from app.database.errors import is_database_away
from app.database.statement import Connection
from app.database.tables import Base
from app.http.auth import current_principal
from app.http.dependencies import services_of
from app.http.headers import find_header
from app.http.problems import BadRequest, Conflict, Invalid
from app.runtime.ids import new_id

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


# In the order of the keys: two requests that share some would else wait for each other.
# Not flushed: without its mark, lost to a crash of PostgreSQL, a request makes nothing.
_MARK = f"""
insert into idempotency_keys (user_id, route, key, request, fingerprint, expires_at)
select $1, $2, key, $3, fingerprint, now() + interval '{MARK_TTL_S} s'
from set_config('synchronous_commit', 'off', true),
  unnest($4::text[], $5::bytea[]) as mark (key, fingerprint) order by key
on conflict (user_id, route, key) do update
set request = excluded.request, fingerprint = excluded.fingerprint, object_id = null,
    expires_at = excluded.expires_at
where idempotency_keys.expires_at < now()
returning key"""
_READ = """
select key, fingerprint, object_id from idempotency_keys
where user_id = $1 and route = $2 and key = any($3)"""
_MINE = "user_id = $1 and route = $2 and request = $3 and key = any($4) and object_id is null"
_RENEW = f"""
update idempotency_keys set expires_at = now() + interval '{MARK_TTL_S} s' where {_MINE}"""
_RELEASE = f"delete from idempotency_keys where {_MINE}"
_DONE = """
update idempotency_keys as mark
set object_id = made.object_id, fingerprint = made.fingerprint,
    expires_at = now() + interval '24 h'
from unnest(cast({0}4 as text[]), cast({0}5 as text[]), cast({0}6 as bytea[]))
  as made (key, object_id, fingerprint)
where user_id = {0}1 and route = {0}2 and request = {0}3 and mark.key = made.key
returning 1"""
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


class Earlier(NamedTuple):
    """What an earlier request with the same key made; without an id it is still running."""

    object_id: str | None
    fingerprint: bytes | None

    def made(self, fingerprint: bytes | None) -> str:
        """Return the id of it.

        Args:
            fingerprint: Of the body that came now; None: not known yet.

        Raises:
            IdempotencyInFlight: The first request is still at it.
            IdempotencyKeyReused: It came with another body.
        """
        if self.object_id is None:
            raise IdempotencyInFlight
        if fingerprint is not None and fingerprint != self.fingerprint:
            raise IdempotencyKeyReused
        return self.object_id


class Marks:
    """The marks of one request, one for each thing that it makes under a key of its own."""

    def __init__(self, db: Database, user_id: str, route: str) -> None:
        self._db = db
        self._id = (user_id, route)
        self._request = new_id()
        self._marked: list[str] = []
        self._renewal: asyncio.Task[None] | None = None

    async def begin(self, wanted: Mapping[str, bytes | None]) -> dict[str, Earlier]:
        """Mark what is to be made; return by its key what was marked before.

        Args:
            wanted: Fingerprints by key.
        """
        earlier: dict[str, Earlier] = {}
        left = dict(wanted)
        for _ in range(3):
            args = (self._request, list(left), list(left.values()))
            marked = [row["key"] for row in await self._db.pool.fetch(_MARK, *self._id, *args)]
            self._marked += marked
            left = {key: value for key, value in left.items() if key not in marked}
            if not left:
                break
            for row in await self._db.pool.fetch(_READ, *self._id, list(left)):
                earlier[row["key"]] = Earlier(row["object_id"], row["fingerprint"])
                del left[row["key"]]
            if not left:
                break
        if self._marked:
            self._renewal = asyncio.create_task(self._renew())
        return earlier | {key: Earlier(None, None) for key in left}

    async def done(
        self, on: AsyncSession | Connection, made: Mapping[str, tuple[str, bytes | None]]
    ) -> None:
        """Write down what was made, in the transaction that made it: id and fingerprint by key.

        Raises:
            IdempotencyInFlight: A mark ran out, and perhaps another request has taken the key over.
        """
        if not made:
            return
        ids, fingerprints = zip(*made.values(), strict=True)
        args = (*self._id, self._request, list(made), list(ids), list(fingerprints))
        if isinstance(on, AsyncSession):
            named = {f"p{number}": value for number, value in enumerate(args, 1)}
            count = len((await on.execute(_DONE_SESSION, named)).all())
        else:
            count = len(await on.fetch(_DONE_ASYNCPG, *args))
        if count < len(made):
            raise IdempotencyInFlight

    async def close(self, *, has_failed: bool) -> None:
        """End the renewal; after a failure the keys of what was not made are free again."""
        if self._renewal is not None:
            self._renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewal
        if has_failed and self._marked:
            try:
                await self._db.pool.execute(_RELEASE, *self._id, self._request, self._marked)
            except Exception as exc:
                if not is_database_away(exc):
                    raise
                logger.warning("an idempotency mark stays until it expires: %s", exc)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self._db.pool.execute(_RENEW, *self._id, self._request, self._marked)
            except Exception as exc:
                if not is_database_away(exc):
                    raise
                logger.warning("an idempotency mark was not renewed: %s", exc)


def check_key(key: str) -> None:
    """Hold that a caller's key is one.

    Raises:
        BadIdempotencyKey: It is none.
    """
    if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable()):
        raise BadIdempotencyKey


class _Keyed:
    """The Idempotency-Key of one request; without a key every call does nothing.

    Raises:
        BadIdempotencyKey: It is no key.
    """

    def __init__(self, db: Database, user_id: str, route: str, key: str | None) -> None:
        if key is not None:
            check_key(key)
        self._key = key
        self._marks = Marks(db, user_id, route)
        self._fingerprint: bytes | None = None

    @property
    def has_key(self) -> bool:
        """Whether the request came with a key."""
        return self._key is not None

    async def close(self, *, has_failed: bool) -> None:
        """End the renewal; after a failure the key is free again."""
        await self._marks.close(has_failed=has_failed)


class Once(_Keyed):
    """The Idempotency-Key of a request that makes one thing."""

    _earlier: Earlier | None = None

    async def begin(self, fingerprint: bytes | None = None) -> str | None:
        """Return the id of what an earlier request made, or None: go on and make it.

        Args:
            fingerprint: Of the body; None when it is known only at the end, after the bytes have
                come. The caller then holds what it has read against the first one with `check`.

        Raises:
            IdempotencyInFlight: The first one is still at it.
            IdempotencyKeyReused: It came with another body.
        """
        if self._key is None:
            return None
        self._fingerprint = fingerprint
        self._earlier = (await self._marks.begin({self._key: fingerprint})).get(self._key)
        return None if self._earlier is None else self._earlier.made(fingerprint)

    def check(self, fingerprint: bytes) -> None:
        """Hold a body that was read after `begin` against that of the first request.

        Raises:
            IdempotencyKeyReused: They differ.
        """
        if self._earlier is not None:
            self._earlier.made(fingerprint)

    async def done(
        self, on: AsyncSession | Connection, object_id: str, fingerprint: bytes | None = None
    ) -> None:
        """Write down what was made, in the transaction that made it.

        Raises:
            IdempotencyInFlight: The mark ran out, and perhaps another request has taken it over.
        """
        if self._key is not None and self._earlier is None:
            made = {self._key: (object_id, fingerprint or self._fingerprint)}
            await self._marks.done(on, made)


class OnceForMany(_Keyed):
    """The Idempotency-Key of a request that makes many things, all of them or none."""

    async def begin(self, fingerprint: bytes, count: int) -> list[str] | None:
        """Return the ids of what an earlier request made, or None: go on and make it.

        Args:
            fingerprint: Of the body.
            count: How many things it makes.

        Raises:
            IdempotencyInFlight: The first one is still at it.
            IdempotencyKeyReused: It came with another body.
        """
        if self._key is None:
            return None
        self._fingerprint = fingerprint
        keys = self._keys(count)
        earlier = await self._marks.begin(dict.fromkeys(keys, fingerprint))
        if not earlier:
            return None
        made = [mark.made(fingerprint) for mark in earlier.values()]
        if len(made) < count:
            raise IdempotencyKeyReused
        return [earlier[key].made(fingerprint) for key in keys]

    async def done(self, on: Connection, object_ids: Sequence[str]) -> None:
        """Write down what was made, in the transaction that made it.

        Raises:
            IdempotencyInFlight: A mark ran out, and perhaps another request has taken it over.
        """
        if self._key is not None:
            keys = self._keys(len(object_ids))
            made = {
                key: (object_id, self._fingerprint)
                for key, object_id in zip(keys, object_ids, strict=True)
            }
            await self._marks.done(on, made)

    def _keys(self, count: int) -> list[str]:
        return [f"{self._key} {number}" for number in range(count)]


async def delete_all_of(db: Database, user_id: str, *, limit: int) -> int:
    """Remove some of a user's keys; return how many."""
    return len(await db.pool.fetch(_DELETE_OF, user_id, limit))


async def purge(db: Database) -> None:
    """Remove the keys that have expired."""
    await db.pool.execute(_PURGE)


def replayed(response: Response) -> None:
    """Say that the answer is that of an earlier request."""
    response.headers[REPLAY_HEADER] = "true"


Key = TypeVar("Key", Once, OnceForMany)


class _Closing(Generic[Key]):
    """Closes a key at the end of a block."""

    def __init__(self, once: Key) -> None:
        self._once: Key = once

    async def __aenter__(self) -> Key:
        return self._once

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is None:
            await self._once.close(has_failed=False)
        else:
            await asyncio.shield(self._once.close(has_failed=True))


def once_of(request: Request) -> _Closing[Once]:
    """Return the same as `OnceDep`, for routes that FastAPI does not solve."""
    return _Closing(Once(*_key_of(request)))


def once_for_many(request: Request) -> _Closing[OnceForMany]:
    """Return the request's Idempotency-Key, for a route that makes many things."""
    return _Closing(OnceForMany(*_key_of(request)))


def _key_of(request: Request) -> tuple[Database, str, str, str | None]:
    """Return where keys are, whose this one is, for which route, and the key itself."""
    db = services_of(request).get(Database)
    user_id = current_principal(request).user_id
    return db, user_id, request.scope["path"], find_header(request.scope, b"idempotency-key")


async def _once(request: Request) -> AsyncIterator[Once]:
    async with once_of(request) as once:
        yield once


OnceDep = Annotated[Once, Depends(_once)]
"""The request's Idempotency-Key. It outlives the transaction: a failed commit frees the key."""
