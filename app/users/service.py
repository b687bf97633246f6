"""Users and their tokens, within the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.engine import Database
from app.http import pagination
from app.http.auth import USER_PREFIX, Principal, hash_token, new_token
from app.http.problems import Forbidden, Invalid, NotFound
from app.runtime.ids import new_id
from app.users import queries
from app.users.models import TokenRow, UserRow
from processing_context.wire.users import TokenCreate

ADMIN_SCOPES = frozenset({"worker", "fleet", "admin"})
"""What only an admin may give."""


class UserNotFound(NotFound):
    """No such user."""

    code = "user_not_found"
    detail = "There is no such user."


class TokenNotFound(NotFound):
    """No such token, or not the caller's."""

    code = "token_not_found"
    detail = "There is no such token."


class UserTokens:
    """The tokens of users."""

    def __init__(self, db: Database, *, default_quota: int | None) -> None:
        self._db = db
        self._default_quota = default_quota

    async def find(self, token_hash: bytes) -> Principal | None:
        """Return the principal of a token; None for one that is unknown, revoked or expired."""
        row = await queries.BY_HASH.row(self._db.pool, hash=token_hash)
        if row is None:
            return None
        own_quota: int | None = row["quota_bytes"]
        return Principal(
            user_id=row["user_id"],
            scopes=frozenset(row["scopes"]),
            token_id=row["id"],
            quota_bytes=self._default_quota if own_quota is None else own_quota,
            lasts_s=row["lasts_s"],
        )

    async def valid_among(self, token_ids: Collection[str]) -> set[str]:
        """Return those of the token ids that are neither revoked nor expired."""
        rows = await queries.VALID_AMONG.rows(self._db.pool, ids=list(token_ids))
        return {row["id"] for row in rows}


class UserService:
    """Users and tokens."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, user_id: str) -> UserRow:
        """Return one user.

        Raises:
            UserNotFound: There is none of this id.
        """
        row = await queries.user(self._session, user_id)
        if row is None:
            raise UserNotFound
        return row

    async def create(self, name: str) -> UserRow:
        """Make a user without any token."""
        row = UserRow(id=new_id(), name=name)
        self._session.add(row)
        await self._session.flush()
        await self._session.refresh(row)
        return row

    async def page(self, page: pagination.Page) -> tuple[Sequence[UserRow], str | None]:
        """Return a page of users and the next cursor."""
        rows = await queries.newest_users(self._session, after=page.after, limit=page.size + 1)
        return pagination.cut(rows, page.size)

    async def lock_out(self, user_id: str) -> Sequence[str]:
        """Delete a user: his tokens stop working with this transaction. Returns their ids."""
        row = await self.get(user_id)
        row.deleted_at = func.now()
        return await queries.token_ids(self._session, user_id)

    async def set_quota(self, user_id: str, quota_bytes: int | None) -> None:
        """Let a user's assets take this many bytes; None: as many as the settings say.

        Raises:
            UserNotFound: There is none of this id.
        """
        (await self.get(user_id)).quota_bytes = quota_bytes

    async def give_token(self, giver: Principal, request: TokenCreate) -> tuple[TokenRow, str]:
        """Make a token by the rules of who may give what; returns it with its secret.

        Raises:
            Forbidden: The giver lacks a scope, or only an admin may give it.
            UserNotFound: An admin names a user who does not exist.
        """
        is_admin = "admin" in giver.scopes
        wanted = frozenset(request.scopes)
        if not is_admin and request.user_id not in (None, giver.user_id):
            raise Forbidden("Only an admin makes tokens for another user: leave out user_id.")
        if not is_admin and wanted & ADMIN_SCOPES:
            names = ", ".join(sorted(wanted & ADMIN_SCOPES))
            raise Forbidden(f"Only an admin gives: {names}.")
        if not wanted <= giver.scopes:
            names = ", ".join(sorted(wanted - giver.scopes))
            raise Forbidden(f"You cannot give what your own token lacks: {names}.")
        if request.expires_at and await queries.is_past(self._session, request.expires_at):
            raise Invalid("expires_at lies in the past: give a later time, or leave it out.")
        owner = await self.get(request.user_id or giver.user_id)
        return await self.make_token(
            owner.id, request.name, request.scopes, expires_at=request.expires_at
        )

    async def make_token(
        self,
        user_id: str,
        name: str,
        scopes: Collection[str],
        *,
        expires_at: datetime | None = None,
        secret: str | None = None,
    ) -> tuple[TokenRow, str]:
        """Make a token without asking who gives it; `secret` where it is decided elsewhere."""
        secret = secret or new_token(USER_PREFIX)
        row = TokenRow(
            id=new_id(),
            user_id=user_id,
            name=name,
            hash=hash_token(secret),
            scopes=sorted(set(scopes)),
            expires_at=expires_at,
        )
        self._session.add(row)
        await self._session.flush()
        await self._session.refresh(row)
        return row, secret

    async def tokens(
        self, owner_id: str, page: pagination.Page
    ) -> tuple[Sequence[TokenRow], str | None]:
        """Return a page of a user's tokens and the next cursor."""
        rows = await queries.newest_tokens(
            self._session, owner_id=owner_id, after=page.after, limit=page.size + 1
        )
        return pagination.cut(rows, page.size)

    async def revoke(self, token_id: str, *, by: Principal) -> None:
        """Delete a token: one's own, or anybody's for an admin.

        Raises:
            TokenNotFound: There is none, or it is another user's.
        """
        owner_id = None if "admin" in by.scopes else by.user_id
        if not await queries.delete_token(self._session, token_id, owner_id=owner_id):
            raise TokenNotFound
