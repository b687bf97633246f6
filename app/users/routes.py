"""Routes of users and tokens."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Depends, Response

from app.http.auth import PrincipalDep, Revocations
from app.http.dependencies import DatabaseDep, Injected, SessionDep
from app.http.idempotency.keys import OnceDep, fingerprint_of, replayed
from app.http.pagination import PageDep
from app.http.routing import SecuredRoute
from app.users.schemas import token_made, token_out, user_out
from app.users.service import UserService
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


async def _service(session: SessionDep) -> UserService:
    return UserService(session)


Users = Annotated[UserService, Depends(_service)]
RevocationsDep = Annotated[Revocations, Injected(Revocations)]


@router.post("/users", status_code=201)
async def create_user(
    once: OnceDep, session: SessionDep, users: Users, body: UserCreate, response: Response
) -> User:
    """Make a user. He has no token yet: make one with `POST /v1/tokens`."""
    made = await once.begin(fingerprint_of(body))
    if made is not None:
        replayed(response)
        return user_out(await users.get(made))
    row = await users.create(body.name)
    await once.done(session, row.id)
    return user_out(row)


@router.get("/users")
async def list_users(users: Users, page: PageDep) -> UserList:
    """List users, newest first."""
    rows, following = await users.page(page)
    return UserList(next=following, users=[user_out(row) for row in rows])


@router.delete("/users/{user_id}", status_code=204)
async def delete_user(user_id: str, db: DatabaseDep, revocations: RevocationsDep) -> None:
    """Lock a user out at once; the data is swept after."""
    async with db.session() as session:
        token_ids = await UserService(session).lock_out(user_id)
    for token_id in token_ids:
        revocations.revoke_token(token_id)
    revocations.delete_user(user_id)


@router.get("/me")
async def who_am_i(users: Users, principal: PrincipalDep) -> Me:
    """Return whom this token speaks for."""
    user = await users.get(principal.user_id)
    return Me(user=user_out(user), scopes=cast("list[Scope]", sorted(principal.scopes)))


@router.post("/tokens", status_code=201)
async def create_token(users: Users, principal: PrincipalDep, body: TokenCreate) -> TokenMade:
    """Make a token; its secret is told this once."""
    return token_made(*await users.give_token(principal, body))


@router.get("/tokens")
async def list_tokens(users: Users, principal: PrincipalDep, page: PageDep) -> TokenList:
    """List one's tokens, without their secrets."""
    rows, following = await users.tokens(principal.user_id, page)
    return TokenList(next=following, tokens=[token_out(row) for row in rows])


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke_token(
    token_id: str, db: DatabaseDep, principal: PrincipalDep, revocations: RevocationsDep
) -> None:
    """Revoke a token: one's own, or anybody's for an admin. Its sockets are closed."""
    async with db.session() as session:
        await UserService(session).revoke(token_id, by=principal)
    revocations.revoke_token(token_id)
