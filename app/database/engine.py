"""Connection pool for PostgreSQL (asyncpg)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from app.database.statement import Connection

_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]


def dumps(value: object) -> str:
    """Return JSON text for a `json` column."""
    return orjson.dumps(value).decode()


def loads(value: str | bytes) -> Any:
    """Return the value of a `json` column."""
    return orjson.loads(value)


def connect_args(database_url: str) -> dict[str, Any]:
    """Return the arguments of `asyncpg.connect` for an SQLAlchemy URL."""
    return dict(_DIALECT.create_connect_args(make_url(database_url))[1])  # type: ignore[no-untyped-call]


async def _json_as_objects(connection: Connection) -> None:
    await connection.set_type_codec("json", encoder=dumps, decoder=loads, schema="pg_catalog")


async def _no_reset(connection: Connection) -> None:
    """Skip asyncpg's reset of released connections, a round trip: no code leaves session state."""


class Database:
    """Connections of one replica to its database."""

    def __init__(self, database_url: str, pool_size: int) -> None:
        self._connect_args = connect_args(database_url)
        self._pool_size = pool_size
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    @property
    def pool(self) -> asyncpg.Pool[asyncpg.Record]:
        """The connection pool."""
        if self._pool is None:
            raise RuntimeError("the database is not open: await open() first")
        return self._pool

    async def open(self) -> None:
        """Create the pool."""
        self._pool = await asyncpg.create_pool(
            **self._connect_args,
            min_size=1,
            max_size=self._pool_size,
            init=_json_as_objects,
            reset=_no_reset,
            command_timeout=30,
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.close()

    async def connect(self) -> asyncpg.Connection[asyncpg.Record]:
        """Return a new connection outside of the pool, for LISTEN and advisory locks."""
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(**self._connect_args)
        await _json_as_objects(connection)
        return connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Open a transaction: committed at the end of the block, rolled back when it raises."""
        async with self.pool.acquire() as connection, connection.transaction():
            yield connection
