"""The first user, and the token of the worker that starts beside the service."""

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
    """Make the first user with all scopes where there is none; return the file with its token.

    With `CONTEXT_BOOTSTRAP_TOKEN` that is the token and no file is written (None). Replicas may do
    this at once.

    Raises:
        ValueError: `CONTEXT_BOOTSTRAP_TOKEN` is no token.
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
    """Return a new token for the local worker; that of the previous start is revoked."""
    async with open_database(settings) as db, db.transaction() as on:
        owner = await queries.oldest(on)
        if owner is None:
            raise RuntimeError("there is no user yet: first_user() comes first")
        await queries.delete_tokens_named(on, LOCAL_WORKER, user_id=owner.id)
        _, secret = await insert_token(on, owner.id, LOCAL_WORKER, ("worker", "fleet"))
        return secret


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Open the database for a short piece of work beside the service."""
    if settings.database_url is None:
        raise RuntimeError("no database: start the embedded one, or set CONTEXT_DATABASE_URL")
    db = Database(settings.database_url, pool_size=2)
    await db.open()
    try:
        yield db
    finally:
        await db.close()
