"""Conversion of users and tokens from rows to wire models."""

from __future__ import annotations

from typing import cast

from app.users.queries import TokenRecord, UserRecord
from processing_context.wire.users import Scope, Token, TokenMade, User


def user_out(row: UserRecord) -> User:
    """Return the wire model of a user."""
    return User(id=row.id, name=row.name, created_at=row.created_at)


def token_out(row: TokenRecord) -> Token:
    """Return the wire model of a token, without its secret."""
    return Token(
        id=row.id,
        name=row.name,
        scopes=cast("list[Scope]", row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def token_made(row: TokenRecord, secret: str) -> TokenMade:
    """Return the wire model of a new token, with its secret."""
    return TokenMade(
        id=row.id,
        name=row.name,
        scopes=cast("list[Scope]", row.scopes),
        token=secret,
        expires_at=row.expires_at,
    )
