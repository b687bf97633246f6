"""Models of users and their tokens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from processing_context.wire.base import Id, Name, Reply, Request, Timestamp

Scope = Literal["user", "worker", "fleet", "admin"]
"""Rights of a token. The `job` scope of leases cannot be assigned."""


class UserCreate(Request):
    """A user to create."""

    name: Name


class User(Reply):
    """A user."""

    id: str
    name: str
    created_at: Timestamp


class UserList(Reply):
    """A page of users."""

    next: str | None
    users: list[User]


class TokenCreate(Request):
    """A token to create. `user_id` and scopes beyond `user` require an admin."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1)]
    expires_at: Timestamp | None = None
    user_id: Id | None = None


class TokenMade(Reply):
    """A new token. The secret in `token` is not shown again."""

    id: str
    name: str
    scopes: list[Scope]
    token: str
    expires_at: Timestamp | None


class Token(Reply):
    """A token, without its secret."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: Timestamp
    expires_at: Timestamp | None


class TokenList(Reply):
    """A page of tokens."""

    next: str | None
    tokens: list[Token]


class Me(Reply):
    """The user and the scopes of the token of a request."""

    user: User
    scopes: list[str]
