"""Tests of the URLs of databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from app.database.engine import Database, connect_args
from app.database.migrate import upgrade
from app.settings import Settings


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql+asyncpg://u:p%40%2F%23@db.example:5433/c",
            {"host": "db.example", "port": 5433, "user": "u", "password": "p@/#", "database": "c"},
        ),
        (
            "postgres://u@db.example/c?sslmode=require&connect_timeout=5&channel_binding=require",
            {
                "host": "db.example",
                "user": "u",
                "database": "c",
                "timeout": 5.0,
                "dsn": "postgresql://?sslmode=require",
            },
        ),
        (
            "postgresql://app@/context?host=/run/pg&port=5432&application_name=x%20y",
            {
                "host": "/run/pg",
                "port": 5432,
                "user": "app",
                "database": "context",
                "dsn": "postgresql://?application_name=x+y",
            },
        ),
    ],
)
def test_parts_and_parameters_of_a_url(url: str, expected: dict[str, Any]) -> None:
    assert connect_args(url) == expected


async def test_asyncpg_reads_the_parameters_of_libpq(stack: Settings) -> None:
    more = "sslmode=disable&application_name=some%20test&target_session_attrs=any"
    url = f"{stack.database_url}&{more}"
    connection = await asyncpg.connect(**connect_args(url))
    try:
        assert await connection.fetchval("show application_name") == "some test"
    finally:
        await connection.close()


def test_migrations_take_the_same_urls(new_database: Callable[[], str]) -> None:
    upgrade(f"{new_database()}&sslmode=prefer")


@pytest.mark.parametrize("host", ["/nowhere/at/all", "no.such.host.invalid"])
async def test_a_missing_socket_or_host_means_that_the_database_is_away(host: str) -> None:
    db = Database(f"postgresql://app@/context?host={host}", pool_size=2)
    with pytest.raises(ConnectionError):
        await db.connect()
