"""Routes of users and tokens."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Response

from app.http.auth import PrincipalDep
from app.http.dependencies import Injected
from app.http.idempotency.dependencies import IdempotencyKeyDep, replayed
from app.http.pagination import PageDep
from app.http.responses import json_response
from app.http.routing import SecuredRoute
from app.users.schemas import token_made, token_out, user_out
from app.users.service import TokenService, UserService
from processing_context.wire.users import (
    Me,
    Scope,
    TokenCreate,
    TokenList,
    TokenMade,
    User,
    UserCreate,
    UserList,
)

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["users"])

Users = Annotated[UserService, Injected(UserService)]
Tokens = Annotated[TokenService, Injected(TokenService)]


@router.post("/users", status_code=201)
async def create_user(
    key: IdempotencyKeyDep, users: Users, body: UserCreate, response: Response
) -> User:
    """Create a user without a token; create one with `POST /v1/tokens`."""
    user, is_replay = await users.create(body, key)
    if is_replay:
        replayed(response)
    return user_out(user)


@router.get("/users")
async def list_users(users: Users, page: PageDep) -> UserList:
    """List users, newest first."""
    found, following = await users.page(page)
    return UserList(next=following, users=[user_out(user) for user in found])


@router.delete("/users/{user_id}", status_code=204)
async def delete_user(user_id: str, users: Users) -> None:
    """Delete a user: the tokens stop working at once, the data is removed later."""
    await users.delete(user_id)


@router.get("/me", response_model=Me)
async def who_am_i(users: Users, principal: PrincipalDep) -> Response:
    """Return the user and the scopes of the token."""
    user = await users.get(principal.user_id)
    scopes = cast("list[Scope]", sorted(principal.scopes))
    return json_response(Me(user=user_out(user), scopes=scopes))


@router.post("/tokens", status_code=201)
async def create_token(tokens: Tokens, principal: PrincipalDep, body: TokenCreate) -> TokenMade:
    """Create a token; only this response contains its secret."""
    return token_made(*await tokens.grant(principal, body))


@router.get("/tokens")
async def list_tokens(tokens: Tokens, principal: PrincipalDep, page: PageDep) -> TokenList:
    """List the caller's tokens, newest first, without their secrets."""
    found, following = await tokens.page(principal.user_id, page)
    return TokenList(next=following, tokens=[token_out(token) for token in found])


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke_token(token_id: str, tokens: Tokens, principal: PrincipalDep) -> None:
    """Revoke a token and close its WebSockets; an admin may revoke the tokens of all users."""
    await tokens.revoke(token_id, by=principal)
