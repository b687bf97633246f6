"""Exceptions that mean that PostgreSQL cannot be reached."""

from __future__ import annotations

import asyncpg

DATABASE_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # Of a connection that the server has just ended, before asyncpg has seen its end.
    asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    ConnectionError,
    TimeoutError,
)
"""What the drivers raise when PostgreSQL is away, as opposed to when a statement is wrong."""


def is_database_away(exc: BaseException) -> bool:
    """Return whether an exception means that PostgreSQL cannot be reached."""
    # asyncpg also raises an InterfaceError for an argument that it cannot encode.
    return isinstance(exc, DATABASE_AWAY) and not isinstance(exc, ValueError)
