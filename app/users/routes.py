"""Routes of users and tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request, Response

from app.database.engine import DatabaseDep, SessionDep
from app.database.notifications import Wakeups
from app.http.auth import Authenticator, PrincipalDep, SecuredRoute
from app.http.idempotency import OnceDep, fingerprint_of, replayed
from app.http.pagination import PageDep
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

TOKEN_TOPIC = "token"  # noqa: S105
"""The wake-up that tells replicas of a revoked token; its text is the token's id."""

USER_TOPIC = "user"
"""The wake-up that tells replicas of a user who was locked out; its text is his id."""

router = APIRouter(prefix="/v1", route_class=SecuredRoute, tags=["users"])


async def _service(session: SessionDep) -> UserService:
    return UserService(session)


Users = Annotated[UserService, Depends(_service)]


def forget_token(state: Any, token_id: str) -> None:
    """Lock out a revoked token on this replica."""
    authenticator: Authenticator = state.authenticator
    authenticator.forget(token_id)
    state.sockets.close_token(token_id)


def forget_user(state: Any, user_id: str) -> None:
    """Lock out a deleted user's leases on this replica."""
    authenticator: Authenticator = state.authenticator
    authenticator.forget_user(user_id)


def _revoked(state: Any, token_ids: Iterable[str]) -> None:
    """Lock out revoked tokens: here before the reply is sent, on other replicas soon."""
    wakeups: Wakeups = state.wakeups
    for token_id in token_ids:
        forget_token(state, token_id)
        wakeups.tell(TOKEN_TOPIC, token_id)


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
async def delete_user(user_id: str, db: DatabaseDep, request: Request) -> None:
    """Lock a user out at once; the data is swept after."""
    async with db.session() as session:
        token_ids = await UserService(session).lock_out(user_id)
    state = request.app.state
    _revoked(state, token_ids)
    forget_user(state, user_id)
    state.wakeups.tell(USER_TOPIC, user_id)


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
    token_id: str, db: DatabaseDep, principal: PrincipalDep, request: Request
) -> None:
    """Revoke a token: one's own, or anybody's for an admin. Its sockets are closed."""
    async with db.session() as session:
        await UserService(session).revoke(token_id, by=principal)
    _revoked(request.app.state, [token_id])
