"""Tests that the migrations create the schema of the models and can be reverted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.database import migrate
from app.domains import metadata
from app.settings import Settings
from tests.conftest import database_url, execute
from tests.support.services import run_elsewhere


def on(url: str, work: Callable[[Connection], Any]) -> Any:
    """Run a function with a connection to a database; return its result."""

    async def run() -> Any:
        engine = create_async_engine(url)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return run_elsewhere(run())


def _differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(
        connection, opts={"include_object": migrate.is_described, "compare_type": True}
    )
    return list(compare_metadata(context, metadata()))


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def test_the_migrated_schema_is_that_of_the_models(new_database: Callable[[], str]) -> None:
    assert on(new_database(), _differences) == []


def test_a_downgrade_to_base_and_an_upgrade_restore_the_schema(
    new_database: Callable[[], str],
) -> None:
    url = new_database()
    migrate.downgrade(url, "base")
    left = on(url, lambda connection: inspect(connection).get_table_names())
    assert left == ["alembic_version"]
    migrate.upgrade(url)
    assert on(url, _differences) == []


def test_replicas_that_start_at_once_do_not_collide(stack: Settings) -> None:
    execute(stack, "create database at_once")
    url = database_url(stack, "at_once")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: migrate.upgrade(url), range(4)))
    assert on(url, _revision) == migrate.head()


def test_an_upgrade_does_not_touch_the_data(new_database: Callable[[], str]) -> None:
    url = new_database()

    def insert(connection: Connection) -> None:
        connection.execute(text("insert into users (id, name) values ('a', 'Ada')"))
        connection.commit()

    on(url, insert)
    migrate.upgrade(url)
    rows = on(url, lambda connection: connection.execute(text("select name from users")).all())
    assert rows == [("Ada",)]
