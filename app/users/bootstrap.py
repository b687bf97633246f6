"""Creation of the first user, and of the local worker's token."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.database.engine import Database
from app.http.auth import hash_token
from app.runtime.ids import new_id
from app.runtime.private_files import write_private
from app.settings import Settings
from app.users import queries
from app.users.service import insert_token

ALL_SCOPES = ("user", "worker", "fleet", "admin")
LOCAL_WORKER = "local worker"
_TOKEN = re.compile(r"[A-Za-z0-9._-]{16,200}")


async def first_user(settings: Settings) -> Path | None:
    """Create the first user, with all scopes, if no user exists; return the file with the token.

    `CONTEXT_BOOTSTRAP_TOKEN` sets the token; then no file is written and None is returned. Replicas
    may call this at the same time.

    Raises:
        ValueError: `CONTEXT_BOOTSTRAP_TOKEN` is not a valid token.
    """
    path = settings.data_dir / "token"
    given = settings.bootstrap_token.get_secret_value() if settings.bootstrap_token else None
    if given is not None and not _TOKEN.fullmatch(given):
        raise ValueError(
            "CONTEXT_BOOTSTRAP_TOKEN must be 16 to 200 characters of A-Z a-z 0-9 . _ -"
        )
    async with open_database(settings) as db, db.transaction() as on:
        await queries.lock_bootstrap(on)
        owner = await queries.oldest(on)
        if owner is None:
            owner = await queries.insert(on, new_id(), "admin")
        elif given is None or await queries.find_token(on, hash_token(given)) is not None:
            return path if given is None and path.exists() else None
        _, secret = await insert_token(on, owner.id, "first token", ALL_SCOPES, secret=given)
        if given is None:
            write_private(path, secret + "\n")
    return path if given is None else None


async def worker_token(settings: Settings) -> str:
    """Create the token of the local worker; revoke the one of the previous start."""
    async with open_database(settings) as db, db.transaction() as on:
        owner = await queries.oldest(on)
        if owner is None:
            raise RuntimeError("no user exists: call first_user() first")
        await queries.delete_tokens_named(on, LOCAL_WORKER, user_id=owner.id)
        _, secret = await insert_token(on, owner.id, LOCAL_WORKER, ("worker", "fleet"))
        return secret


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Open the database outside of the service, with a small pool."""
    if settings.database_url is None:
        raise RuntimeError(
            "no database is configured: start the embedded one, or set CONTEXT_DATABASE_URL"
        )
    db = Database(settings.database_url, pool_size=2)
    await db.open()
    try:
        yield db
    finally:
        await db.close()
