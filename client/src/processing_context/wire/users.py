"""Users and their tokens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from processing_context.wire.base import Id, Name, Reply, Request, Timestamp

Scope = Literal["user", "worker", "fleet", "admin"]
"""What a token may do; the `job` principal of a lease is not a scope that can be given."""


class UserCreate(Request):
    """A new user."""

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
    """A new token; `user_id` and the scopes beyond `user` are for admins."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1)]
    expires_at: Timestamp | None = None
    user_id: Id | None = None


class TokenMade(Reply):
    """The token, this once."""

    id: str
    name: str
    scopes: list[Scope]
    token: str
    expires_at: Timestamp | None


class Token(Reply):
    """A token without its secret."""

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
    """Who a token speaks for."""

    user: User
    scopes: list[str]
