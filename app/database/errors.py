"""Detection of errors that mean that PostgreSQL cannot be reached or has no resources left."""

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
    # Class 53: disk full (53100), out of memory (53200), too many connections (53300), and others.
    asyncpg.InsufficientResourcesError,
    ConnectionError,
    TimeoutError,
)
"""Exceptions of asyncpg that mean that PostgreSQL cannot serve; others mean a bad statement.

Use `is_database_away`: some errors about bad arguments are subclasses of these.
"""


def is_database_away(exc: BaseException) -> bool:
    """Return True if an exception means that PostgreSQL cannot be reached or has no resources."""
    # asyncpg also raises an InterfaceError for an argument that it cannot encode.
    return isinstance(exc, DATABASE_AWAY) and not isinstance(exc, ValueError)


def is_out_of_resources(exc: BaseException) -> bool:
    """Return True if PostgreSQL can be reached, but its disk or memory is full."""
    return isinstance(exc, asyncpg.InsufficientResourcesError) and not isinstance(
        exc, asyncpg.TooManyConnectionsError
    )
