"""The first user, and the tokens that the operator sets, at the start of a replica."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.database.engine import Database
from app.database.statement import Connection
from app.http.auth import hash_token
from app.runtime.errors import CommandError
from app.runtime.ids import new_id
from app.settings import Settings
from app.users import configured_tokens, queries
from app.users.configured_tokens import FIRST_USER, WELL_KNOWN, WORKER, ConfiguredToken, TokenKind
from app.users.service import insert_token

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StartTokens:
    """The tokens of the first user and of the workers, as far as this replica knows valid ones."""

    first_user: ConfiguredToken | None
    worker: ConfiguredToken | None


async def set_up(settings: Settings) -> StartTokens:
    """Create the first user if no user exists, and make the configured tokens valid.

    A changed token of the first user revokes the earlier ones for ever. Replicas may call this at
    the same time. Tokens that it revokes stop working within seconds, when the caches of running
    replicas expire.

    Raises:
        CommandError: A configured token cannot be used.
    """
    async with open_database(settings) as db, db.transaction() as on:
        await queries.lock_bootstrap(on)
        await queries.revoke_hashes(on, [hash_token(token) for token in WELL_KNOWN])
        owner = await queries.oldest(on)
        is_first = owner is None
        if owner is None:
            owner = await queries.insert(on, new_id(), "admin")
        first = await _set_up(on, FIRST_USER, settings, owner.id, generates=is_first)
        worker = await _set_up(on, WORKER, settings, owner.id, generates=True)
    return StartTokens(first, worker)


async def has_user(settings: Settings) -> bool:
    """Return True if a user exists."""
    async with open_database(settings) as db:
        return await queries.oldest(db.pool) is not None


async def first_token(settings: Settings) -> ConfiguredToken:
    """Return the token of the first user, as far as this machine knows it.

    Raises:
        CommandError: It is not known here, or it was revoked.
    """
    token = configured_tokens.read(FIRST_USER, settings)
    create = "create another one: python -m app tokens create <user id> --scope admin --scope user"
    if token is None:
        raise CommandError(
            f"the token of the first user is not known here ({FIRST_USER.variable} is not set, "
            f"and {settings.data_dir} has no file {FIRST_USER.file}); {create}"
        )
    async with open_database(settings) as db:
        found = await queries.configured(db.pool, token.hash)
    if found is None or not found.is_valid:
        raise CommandError(f"the token of {token.source} was revoked or never valid; {create}")
    return token


async def _set_up(
    on: Connection, kind: TokenKind, settings: Settings, owner_id: str, *, generates: bool
) -> ConfiguredToken | None:
    """Make the configured token of a kind valid; return None for a missing or revoked one."""
    token = configured_tokens.read(kind, settings)
    if token is not None and await _is_revoked(on, token):
        if kind is WORKER and token.is_file:  # it was generated
            token = None
        else:
            logger.error(
                "the token of %s was revoked, this replica goes on without it: set a new one",
                token.source,
            )
            return None
    if token is None:
        if not generates:
            return None
        token = configured_tokens.generate(kind, settings)
    await _make_valid(on, kind, token, owner_id)
    if kind is FIRST_USER or not token.is_file:  # each replica may have generated a worker's token
        for token_id in await queries.revoke_others(on, kind.purpose, kept=token.hash):
            logger.warning("revoked token %s: %s has another value now", token_id, token.source)
    return token


async def _is_revoked(on: Connection, token: ConfiguredToken) -> bool:
    found = await queries.configured(on, token.hash)
    if found is not None and not found.is_valid:
        return True
    return await queries.is_revoked(on, token.hash)


async def _make_valid(
    on: Connection, kind: TokenKind, token: ConfiguredToken, owner_id: str
) -> None:
    found = await queries.configured(on, token.hash)
    if found is None:
        await insert_token(
            on, owner_id, kind.name, kind.scopes, secret=token.secret, purpose=kind.purpose
        )
    elif found.purpose is None and set(kind.scopes) <= set(found.scopes):
        await queries.set_purpose(on, found.id, kind.purpose)
    elif found.purpose != kind.purpose:
        raise CommandError(
            f"the token of {token.source} is already token {found.id}, which was created for "
            "another purpose: set another value"
        )


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
