"""FastAPI dependencies for the Idempotency-Key header."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from app.database.engine import Database
from app.http.auth import current_principal
from app.http.dependencies import services_of
from app.http.headers import find_header
from app.http.idempotency.keys import BatchIdempotencyKey, IdempotencyKey
from app.http.idempotency.open_keys import OpenKeys

REPLAY_HEADER = "Idempotent-Replay"

KeyT = TypeVar("KeyT", IdempotencyKey, BatchIdempotencyKey)


@asynccontextmanager
async def _open(kind: type[KeyT], request: Request) -> AsyncIterator[KeyT]:
    key = kind(
        services_of(request).get(Database),
        services_of(request).get(OpenKeys),
        current_principal(request).user_id,
        request.scope["path"],
        find_header(request.scope, b"idempotency-key"),
    )
    try:
        yield key
    except BaseException:
        await asyncio.shield(key.close(has_failed=True))
        raise
    await key.close(has_failed=False)


async def _idempotency_key(request: Request) -> AsyncIterator[IdempotencyKey]:
    async with _open(IdempotencyKey, request) as key:
        yield key


async def _batch_idempotency_key(request: Request) -> AsyncIterator[BatchIdempotencyKey]:
    async with _open(BatchIdempotencyKey, request) as key:
        yield key


IdempotencyKeyDep = Annotated[IdempotencyKey, Depends(_idempotency_key)]
"""Idempotency key of a request that creates one object; an exception releases the key."""

BatchIdempotencyKeyDep = Annotated[BatchIdempotencyKey, Depends(_batch_idempotency_key)]
"""Idempotency key of a request that creates several objects; an exception releases the key."""


def replayed(response: Response) -> None:
    """Add the header that marks a response with the object of an earlier request."""
    response.headers[REPLAY_HEADER] = "true"
