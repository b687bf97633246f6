"""Schema migrations with Alembic, run by one process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.database.engine import Database
from app.database.statement import Scalar

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
    engine = create_async_engine(database_url, poolclass=pool.NullPool)
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


async def current(db: Database) -> str | None:
    """Return the revision of the database; None before the first migration."""
    if not await _IS_MIGRATED.value(db.pool):
        return None
    return await _CURRENT.value(db.pool)
