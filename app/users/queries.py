"""Statements on users and tokens."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from app.database.statement import Executor, Query, Scalar, Statement

_VALID = """(t.expires_at is null or t.expires_at > now()) and u.deleted_at is null
    and not exists (select from revoked_tokens r where r.hash = t.hash)"""


class UserRecord(NamedTuple):
    """A user."""

    id: str
    name: str
    created_at: datetime


class TokenRecord(NamedTuple):
    """A token without its hash."""

    id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None


class TokenOwner(NamedTuple):
    """A valid token with the quota of its user; `lasts_s` is the time until it expires."""

    id: str
    user_id: str
    scopes: list[str]
    quota_bytes: int | None
    lasts_s: float | None


class ConfiguredTokenRecord(NamedTuple):
    """A token that the configuration names; `is_valid` is false for one of a deleted user."""

    id: str
    scopes: list[str]
    purpose: str | None
    is_valid: bool


_FIND_TOKEN = Query(
    f"""
select t.id, t.user_id, t.scopes, u.quota_bytes,
    extract(epoch from t.expires_at - now())::float8 as lasts_s
from tokens t join users u on u.id = t.user_id where t.hash = :hash and {_VALID}""",
    TokenOwner,
)
_VALID_AMONG = Scalar(
    f"""
select t.id from tokens t join users u on u.id = t.user_id where t.id = any(:ids) and {_VALID}""",
    str,
)
_IS_PAST = Scalar("select :moment::timestamptz <= now()", bool)
_USER = "select id, name, created_at from users where deleted_at is null"
_GET = Query(f"{_USER} and id = :user_id", UserRecord)
_OLDEST = Query(f"{_USER} order by id limit 1", UserRecord)
_PAGE = Query(f"{_USER} and id < coalesce(:after, 'g') order by id desc limit :limit", UserRecord)
_INSERT = Query(
    "insert into users (id, name) values (:id, :name) returning id, name, created_at", UserRecord
)
_MARK_DELETED = Statement(
    "update users set deleted_at = now() where id = :user_id and deleted_at is null"
)
_SET_QUOTA = Statement(
    "update users set quota_bytes = :quota_bytes where id = :user_id and deleted_at is null"
)
_TOKEN_COLUMNS = "id, name, scopes, created_at, expires_at"  # noqa: S105  # columns of a table
_INSERT_TOKEN = Query(
    f"""
insert into tokens (id, user_id, name, hash, scopes, expires_at, purpose)
values (:id, :user_id, :name, :hash, :scopes, :expires_at, :purpose) returning {_TOKEN_COLUMNS}""",
    TokenRecord,
)
_TOKEN_PAGE = Query(
    f"""
select {_TOKEN_COLUMNS} from tokens
where user_id = :user_id and id < coalesce(:after, 'g')
order by id desc limit :limit""",
    TokenRecord,
)
_COUNT_TOKENS = Scalar(
    """
select count(*) from (
    select from tokens where user_id = :user_id and (expires_at is null or expires_at > now())
    limit :limit
) counted""",
    int,
)
_REVOKE = """
with ended as (delete from tokens where {condition} returning id, hash, purpose),
remembered as (
    insert into revoked_tokens (hash) select hash from ended where purpose is not null
    on conflict do nothing
)
select id from ended"""
_DELETE_TOKEN = Scalar(
    _REVOKE.format(condition="id = :token_id and (:owner_id::text is null or user_id = :owner_id)"),
    str,
)
_DELETE_TOKENS_OF_USER = Scalar(_REVOKE.format(condition="user_id = :user_id"), str)
_REVOKE_OTHERS = Scalar(_REVOKE.format(condition="purpose = :purpose and hash <> :hash"), str)
_REVOKE_HASHES = Scalar(_REVOKE.format(condition="hash = any(:hashes)"), str)
_CONFIGURED = Query(
    f"""
select t.id, t.scopes, t.purpose, {_VALID} as is_valid
from tokens t join users u on u.id = t.user_id where t.hash = :hash""",
    ConfiguredTokenRecord,
)
_IS_REVOKED = Scalar("select exists (select from revoked_tokens where hash = :hash)", bool)
_SET_PURPOSE = Statement("update tokens set purpose = :purpose where id = :token_id")
_LOCK_BOOTSTRAP = Statement("select pg_advisory_xact_lock(7103452672)")
_DELETED = Scalar(
    """
select id from users
where deleted_at < now() - :before::interval and id > :after order by id limit :limit""",
    str,
)
_REMOVE = Statement("delete from users where id = :user_id and deleted_at is not null")


async def find_token(on: Executor, token_hash: bytes) -> TokenOwner | None:
    """Return the valid token with this hash, or None."""
    return await _FIND_TOKEN.one(on, hash=token_hash)


async def valid_among(on: Executor, token_ids: Collection[str]) -> list[str]:
    """Return the given token ids without those that are revoked or expired."""
    return await _VALID_AMONG.values(on, ids=list(token_ids))


async def is_past(on: Executor, moment: datetime) -> bool:
    """Return True if a moment is in the past, by PostgreSQL's clock."""
    return bool(await _IS_PAST.value(on, moment=moment))


async def get(on: Executor, user_id: str) -> UserRecord | None:
    """Return one user, or None."""
    return await _GET.one(on, user_id=user_id)


async def oldest(on: Executor) -> UserRecord | None:
    """Return the user who was created first, or None."""
    return await _OLDEST.one(on)


async def page(on: Executor, *, after: str | None, limit: int) -> list[UserRecord]:
    """Return users, newest first."""
    return await _PAGE.all(on, after=after, limit=limit)


async def insert(on: Executor, user_id: str, name: str) -> UserRecord:
    """Insert a user."""
    return await _INSERT.only(on, id=user_id, name=name)


async def mark_deleted(on: Executor, user_id: str) -> bool:
    """Mark a user as deleted; return True if the user existed."""
    return await _MARK_DELETED.execute(on, user_id=user_id) > 0


async def set_quota(on: Executor, user_id: str, quota_bytes: int | None) -> bool:
    """Set the storage quota of a user; return True if the user exists."""
    return await _SET_QUOTA.execute(on, user_id=user_id, quota_bytes=quota_bytes) > 0


async def insert_token(
    on: Executor,
    token_id: str,
    *,
    user_id: str,
    name: str,
    token_hash: bytes,
    scopes: list[str],
    expires_at: datetime | None,
    purpose: str | None,
) -> TokenRecord:
    """Insert a token."""
    return await _INSERT_TOKEN.only(
        on,
        id=token_id,
        user_id=user_id,
        name=name,
        hash=token_hash,
        scopes=scopes,
        expires_at=expires_at,
        purpose=purpose,
    )


async def token_page(
    on: Executor, *, user_id: str, after: str | None, limit: int
) -> list[TokenRecord]:
    """Return a user's tokens, newest first."""
    return await _TOKEN_PAGE.all(on, user_id=user_id, after=after, limit=limit)


async def count_tokens(on: Executor, user_id: str, limit: int) -> int:
    """Return the number of valid tokens of a user, at most `limit`."""
    return await _COUNT_TOKENS.only(on, user_id=user_id, limit=limit)


async def delete_token(on: Executor, token_id: str, *, owner_id: str | None) -> bool:
    """Delete a token, if `owner_id` is given only one of this user; return True if it existed."""
    return await _DELETE_TOKEN.value(on, token_id=token_id, owner_id=owner_id) is not None


async def delete_tokens_of_user(on: Executor, user_id: str) -> list[str]:
    """Delete the tokens of a user; return their ids."""
    return await _DELETE_TOKENS_OF_USER.values(on, user_id=user_id)


async def configured(on: Executor, token_hash: bytes) -> ConfiguredTokenRecord | None:
    """Return the token with this hash, valid or not."""
    return await _CONFIGURED.one(on, hash=token_hash)


async def is_revoked(on: Executor, token_hash: bytes) -> bool:
    """Return True if a configured token with this hash was revoked."""
    return await _IS_REVOKED.only(on, hash=token_hash)


async def set_purpose(on: Executor, token_id: str, purpose: str) -> None:
    """Make a token one of the configuration."""
    await _SET_PURPOSE.execute(on, token_id=token_id, purpose=purpose)


async def revoke_others(on: Executor, purpose: str, *, kept: bytes) -> list[str]:
    """Revoke the tokens of a purpose for ever, except the one with the hash `kept`."""
    return await _REVOKE_OTHERS.values(on, purpose=purpose, hash=kept)


async def revoke_hashes(on: Executor, hashes: Collection[bytes]) -> list[str]:
    """Delete the tokens with these hashes; those of the configuration are revoked for ever."""
    return await _REVOKE_HASHES.values(on, hashes=list(hashes))


async def lock_bootstrap(on: Executor) -> None:
    """Lock the creation of the first user against other replicas, for the transaction."""
    await _LOCK_BOOTSTRAP.execute(on)


async def deleted(on: Executor, *, before: timedelta, after: str, limit: int) -> list[str]:
    """Return the ids of users who were deleted at least `before` ago, ordered by id."""
    return await _DELETED.values(on, before=before, after=after, limit=limit)


async def remove(on: Executor, user_id: str) -> None:
    """Remove a deleted user and their tokens.

    Raises:
        asyncpg.ForeignKeyViolationError: The user still has rows in other tables.
    """
    await _REMOVE.execute(on, user_id=user_id)
