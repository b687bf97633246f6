"""Services for users and their tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import TypeAlias

from app.database.engine import Database
from app.database.statement import Connection
from app.http import pagination
from app.http.auth import USER_PREFIX, Principal, Revocations, hash_token, new_token
from app.http.idempotency.keys import IdempotencyKey, fingerprint_of
from app.http.problems import Forbidden, Invalid
from app.http.quotas import CountQuota
from app.runtime.ids import new_id
from app.users import queries
from app.users.errors import TokenNotFound, UserNotFound
from app.users.queries import TokenRecord, UserRecord
from processing_context.wire.users import TokenCreate, UserCreate

EndDependents: TypeAlias = Callable[
    [Connection, Collection[str]], Awaitable[Sequence[Callable[[], None]]]
]
"""Function that ends everything that depends on revoked tokens, in the transaction that revokes
them; it returns functions to call after the commit."""

ADMIN_SCOPES = frozenset({"worker", "fleet", "admin"})
"""Scopes that only an admin may grant."""


class UserTokens:
    """Look-up of users' tokens, for authentication."""

    def __init__(self, db: Database, *, default_quota: int | None) -> None:
        self._db = db
        self._default_quota = default_quota

    async def find(self, token_hash: bytes) -> Principal | None:
        """Return the principal of a token; None for one that is unknown, revoked or expired."""
        owner = await queries.find_token(self._db.pool, token_hash)
        if owner is None:
            return None
        return Principal(
            user_id=owner.user_id,
            scopes=frozenset(owner.scopes),
            token_id=owner.id,
            quota_bytes=self._default_quota if owner.quota_bytes is None else owner.quota_bytes,
            lasts_s=owner.lasts_s,
        )

    async def valid_among(self, token_ids: Collection[str]) -> set[str]:
        """Return the given token ids without those that are revoked or expired."""
        return set(await queries.valid_among(self._db.pool, token_ids))


class UserService:
    """Operations on users."""

    def __init__(
        self, db: Database, revocations: Revocations, end_dependents: EndDependents
    ) -> None:
        self._db = db
        self._revocations = revocations
        self._end_dependents = end_dependents

    async def get(self, user_id: str) -> UserRecord:
        """Return one user.

        Raises:
            UserNotFound: The user does not exist.
        """
        user = await queries.get(self._db.pool, user_id)
        if user is None:
            raise UserNotFound(user_id)
        return user

    async def page(self, page: pagination.Page) -> tuple[Sequence[UserRecord], str | None]:
        """Return a page of users, newest first, and the next cursor."""
        users = await queries.page(self._db.pool, after=page.after, limit=page.size + 1)
        return pagination.cut(users, page.size)

    async def create(
        self, request: UserCreate, key: IdempotencyKey | None = None
    ) -> tuple[UserRecord, bool]:
        """Create a user without any token.

        Returns:
            The user, and whether an earlier request with the same key created them.
        """
        created = await key.begin(fingerprint_of(request)) if key else None
        if created is not None:
            return await self.get(created), True
        async with self._db.transaction() as on:
            user = await queries.insert(on, new_id(), request.name)
            if key:
                await key.complete(on, user.id)
        return user, False

    async def delete(self, user_id: str) -> None:
        """Delete a user: their tokens stop working at once, their data is removed later.

        Raises:
            UserNotFound: The user does not exist.
        """
        async with self._db.transaction() as on:
            if not await queries.mark_deleted(on, user_id):
                raise UserNotFound(user_id)
            token_ids = await queries.delete_tokens_of_user(on, user_id)
            after_commit = await self._end_dependents(on, token_ids)
        for token_id in token_ids:
            self._revocations.revoke_token(token_id)
        self._revocations.delete_user(user_id)
        for publish in after_commit:
            publish()

    async def set_quota(self, user_id: str, quota_bytes: int | None) -> None:
        """Set the storage quota of a user; None: the default of the settings.

        Raises:
            UserNotFound: The user does not exist.
        """
        if not await queries.set_quota(self._db.pool, user_id, quota_bytes):
            raise UserNotFound(user_id)


class TokenService:
    """Operations on users' tokens."""

    def __init__(
        self,
        db: Database,
        users: UserService,
        revocations: Revocations,
        end_dependents: EndDependents,
        *,
        max_tokens: int,
    ) -> None:
        self._db = db
        self._users = users
        self._revocations = revocations
        self._end_dependents = end_dependents
        self._quota = CountQuota(
            "tokens",
            max_tokens,
            lambda user_id, limit: queries.count_tokens(db.pool, user_id, limit),
            remedy="delete tokens that are not used.",
        )

    async def page(
        self, user_id: str, page: pagination.Page
    ) -> tuple[Sequence[TokenRecord], str | None]:
        """Return a page of a user's tokens, newest first, and the next cursor."""
        tokens = await queries.token_page(
            self._db.pool, user_id=user_id, after=page.after, limit=page.size + 1
        )
        return pagination.cut(tokens, page.size)

    async def grant(self, grantor: Principal, request: TokenCreate) -> tuple[TokenRecord, str]:
        """Create a token on request of a principal; return it with its secret.

        Raises:
            Forbidden: The grantor lacks a scope of the token, or only an admin may grant it.
            Invalid: `expires_at` is in the past.
            UserNotFound: The user that an admin names does not exist.
            QuotaExceeded: The user has too many tokens.
        """
        _check_grant(grantor, request)
        if request.expires_at and await queries.is_past(self._db.pool, request.expires_at):
            raise Invalid(
                f"expires_at ({request.expires_at.isoformat()}) is in the past: send a later time, "
                "or omit it."
            )
        owner = await self._users.get(request.user_id or grantor.user_id)
        await self._quota.check(owner.id)
        return await self.create(
            owner.id, request.name, request.scopes, expires_at=request.expires_at
        )

    async def create(
        self,
        user_id: str,
        name: str,
        scopes: Collection[str],
        *,
        expires_at: datetime | None = None,
    ) -> tuple[TokenRecord, str]:
        """Create a token without checking any rights; return it with its secret."""
        async with self._db.transaction() as on:
            return await insert_token(on, user_id, name, scopes, expires_at=expires_at)

    async def revoke(self, token_id: str, *, by: Principal) -> None:
        """Revoke a token: the caller's own, or any for an admin.

        Its workers and their leases end in the same transaction.

        Raises:
            TokenNotFound: The token does not exist, or it belongs to another user.
        """
        owner_id = None if by.is_admin else by.user_id
        async with self._db.transaction() as on:
            if not await queries.delete_token(on, token_id, owner_id=owner_id):
                raise TokenNotFound(token_id)
            after_commit = await self._end_dependents(on, [token_id])
        self._revocations.revoke_token(token_id)
        for publish in after_commit:
            publish()


async def insert_token(
    on: Connection,
    user_id: str,
    name: str,
    scopes: Collection[str],
    *,
    expires_at: datetime | None = None,
    secret: str | None = None,
    purpose: str | None = None,
) -> tuple[TokenRecord, str]:
    """Insert a token with a given or a random secret; return it with the secret."""
    secret = secret or new_token(USER_PREFIX)
    token = await queries.insert_token(
        on,
        new_id(),
        user_id=user_id,
        name=name,
        token_hash=hash_token(secret),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
        purpose=purpose,
    )
    return token, secret


def _check_grant(grantor: Principal, request: TokenCreate) -> None:
    """Check that a principal may create a token.

    Raises:
        Forbidden: The token is another user's or has a scope that the principal may not grant.
    """
    wanted = frozenset(request.scopes)
    if not grantor.is_admin and request.user_id not in (None, grantor.user_id):
        raise Forbidden(
            f"Only an admin may create a token for user {request.user_id}: omit user_id."
        )
    if not grantor.is_admin and wanted & ADMIN_SCOPES:
        names = ", ".join(sorted(wanted & ADMIN_SCOPES))
        raise Forbidden(f"Only an admin may grant these scopes: {names}.")
    if not wanted <= grantor.scopes:
        names = ", ".join(sorted(wanted - grantor.scopes))
        raise Forbidden(f"A token cannot grant scopes that it lacks: {names}.")
