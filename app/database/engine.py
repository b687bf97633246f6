"""Connection pool for PostgreSQL (asyncpg)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import asyncpg
import orjson
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from app.database.measured_pool import MeasuredPool, OnWait
from app.database.statement import Connection

SERVER_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_bitmapscan": "off",
    "jit": "off",
}
"""Settings of pooled connections: each statement has one plan, whatever its first parameters.

Without bitmap scans: they read all rows of a condition, also where only the first are wanted, and
statistics that are out of date made the planner prefer them to the index that has the order.
"""

_DIALECT = asyncpg_dialect()  # type: ignore[no-untyped-call]


def dumps(value: object) -> str:
    """Return JSON text for a `json` column."""
    return orjson.dumps(value).decode()


def loads(value: str | bytes) -> Any:
    """Return the value of a `json` column."""
    return orjson.loads(value)


_ARGUMENTS: Mapping[str, Callable[[Any], Any]] = {
    "host": lambda value: value,
    "port": lambda value: value,
    "user": str,
    "password": str,
    "database": str,
    "ssl": str,
    "timeout": float,
    "statement_cache_size": int,
    "max_cached_statement_lifetime": int,
    "max_cacheable_statement_size": int,
}
"""Parts and parameters of a URL that are arguments of `asyncpg.connect`."""
_ONLY_LIBPQ = re.compile(r"channel_binding|gssencmode|keepalives\w*|tcp_user_timeout|options")
"""Parameters of libpq without a counterpart in asyncpg."""


def connect_args(database_url: str) -> dict[str, Any]:
    """Return the arguments of `asyncpg.connect` for a URL.

    asyncpg itself reads the parameters that it shares with libpq, such as `sslmode`; others are
    settings of the session.
    """
    url = make_url(database_url).set(drivername="postgresql+asyncpg")
    given = dict(_DIALECT.create_connect_args(url)[1])  # type: ignore[no-untyped-call]
    if "connect_timeout" in given:
        given["timeout"] = given.pop("connect_timeout")
    arguments = {name: kind(given.pop(name)) for name, kind in _ARGUMENTS.items() if name in given}
    shared = {name: value for name, value in given.items() if not _ONLY_LIBPQ.fullmatch(name)}
    return arguments | ({"dsn": f"postgresql://?{urlencode(shared)}"} if shared else {})


async def _json_as_objects(connection: Connection) -> None:
    await connection.set_type_codec("json", encoder=dumps, decoder=loads, schema="pg_catalog")


async def _connect(*args: Any, **kwargs: Any) -> asyncpg.Connection[asyncpg.Record]:
    """Connect; a missing socket or host is a `ConnectionError`, as a refused connection is."""
    try:
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(*args, **kwargs)
    except (ConnectionError, TimeoutError):
        raise
    except OSError as exc:
        raise ConnectionError(str(exc)) from exc
    return connection


async def _no_reset(connection: Connection) -> None:
    """Skip asyncpg's reset of released connections, a round trip: no code leaves session state."""


class Database:
    """Connections of one replica to its database.

    `on_wait` is called with the seconds that a caller waited for one, if that was over 1 ms.
    """

    def __init__(
        self, database_url: str, pool_size: int, *, on_wait: OnWait = lambda _: None
    ) -> None:
        self._on_wait = on_wait
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
        self._pool = await MeasuredPool(
            on_wait=self._on_wait,
            **self._connect_args,
            connection_class=asyncpg.Connection,
            record_class=asyncpg.Record,
            connect=_connect,
            min_size=1,
            max_size=self._pool_size,
            max_queries=50_000,
            max_inactive_connection_lifetime=300,
            setup=None,
            init=_json_as_objects,
            reset=_no_reset,
            loop=None,
            command_timeout=30,
            server_settings=SERVER_SETTINGS,
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._pool is not None:
            await self._pool.close()

    async def connect(self) -> asyncpg.Connection[asyncpg.Record]:
        """Return a new connection outside of the pool, for LISTEN and advisory locks."""
        connection = await _connect(**self._connect_args)
        await _json_as_objects(connection)
        return connection

    async def check(self) -> None:
        """Check that PostgreSQL answers and can write: a result larger than its memory is a file.

        Raises:
            Exception: It cannot (`is_database_away`).
        """
        async with self.transaction() as connection:
            await connection.execute("set local work_mem = '64kB'")
            await connection.fetchval("select count(*) from generate_series(1, 20000)")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Open a transaction: committed at the end of the block, rolled back when it raises."""
        async with self.pool.acquire() as connection, connection.transaction():
            yield connection
