"""Detection of errors that mean that PostgreSQL cannot be reached."""

from __future__ import annotations

import asyncpg

DATABASE_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # Raised on a connection that the server has closed, before asyncpg has noticed it.
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    ConnectionError,
    TimeoutError,
)
"""Exceptions of asyncpg that mean that PostgreSQL cannot be reached; others mean a bad statement.

Use `is_database_away`: some errors about bad arguments are subclasses of these.
"""


def is_database_away(exc: BaseException) -> bool:
    """Return True if an exception means that PostgreSQL cannot be reached."""
    # asyncpg also raises an InterfaceError for an argument that it cannot encode.
    return isinstance(exc, DATABASE_AWAY) and not isinstance(exc, ValueError)
