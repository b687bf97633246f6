"""Schema migrations with Alembic, run by one process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.database.engine import Database, connect_args
from app.database.statement import Executor, Scalar

Command = Callable[[Config], None]

LOCK_ID = 7103452670
SCRIPTS = Path(__file__).parents[2] / "migrations"


def config() -> Config:
    """Return Alembic's configuration."""
    settings = Config()
    settings.set_main_option("script_location", str(SCRIPTS))
    return settings


def is_known(revision: str | None) -> bool:
    """Return True for a revision of this version of the code, and for None (no schema yet)."""
    known = {script.revision for script in _scripts().walk_revisions()}
    return revision is None or revision in known


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(config())


def head() -> str:
    """Return the newest revision of the code."""
    revision = _scripts().get_current_head()
    if revision is None:
        raise RuntimeError(f"there are no migrations in {SCRIPTS}: the installation is incomplete")
    return revision


def upgrade(database_url: str, revision: str = "head") -> None:
    """Upgrade the schema to `revision`, under an advisory lock against other replicas."""
    asyncio.run(_migrate(database_url, lambda cfg: command.upgrade(cfg, revision)))


def downgrade(database_url: str, revision: str) -> None:
    """Downgrade the schema to `revision`, under an advisory lock against other replicas."""
    asyncio.run(_migrate(database_url, lambda cfg: command.downgrade(cfg, revision)))


async def _migrate(database_url: str, run: Command) -> None:
    connect = partial(asyncpg.connect, **connect_args(database_url))
    engine = create_async_engine(
        "postgresql+asyncpg://", poolclass=pool.NullPool, async_creator=connect
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_locked, run)
    finally:
        await engine.dispose()


def _locked(connection: Connection, run: Command) -> None:
    connection.execute(text(f"select pg_advisory_lock({LOCK_ID})"))
    connection.commit()
    try:
        settings = config()
        settings.attributes["connection"] = connection
        run(settings)
        connection.commit()
    finally:
        connection.rollback()
        connection.execute(text(f"select pg_advisory_unlock({LOCK_ID})"))
        connection.commit()


def is_described(_object: object, name: str | None, kind: str, *_: object) -> bool:
    """Return True if an object of the schema is compared with the models.

    Partitions of the event log are not: they are created at run time.
    """
    return kind != "table" or not (name or "").startswith("job_events_")


_IS_MIGRATED = Scalar("select to_regclass('alembic_version') is not null", bool)
_CURRENT = Scalar("select version_num from alembic_version", str)


async def current(on: Executor) -> str | None:
    """Return the revision of the database; None before the first migration."""
    if not await _IS_MIGRATED.value(on):
        return None
    return await _CURRENT.value(on)


def problem(revision: str | None) -> str | None:
    """Return the reason why this code cannot use a schema; None if it can."""
    if revision == head():
        return None
    if is_known(revision):
        return (
            f"the database schema {revision} is older than {head()}, which the code needs: run "
            "`python -m app migrate`"
        )
    return (
        f"the database schema {revision} is newer than {head()}, the newest that the code knows: "
        "update this replica"
    )


def create_missing(database_url: str) -> str | None:
    """Create the schema in a database that has none; return the `problem` of another schema."""
    revision = asyncio.run(_read_revision(database_url))
    if revision is not None:
        return problem(revision)
    upgrade(database_url)
    return None


async def _read_revision(database_url: str) -> str | None:
    db = Database(database_url, pool_size=2)
    await db.open()
    try:
        return await current(db.pool)
    finally:
        await db.close()
