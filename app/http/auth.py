"""Authentication and authorization: bearer tokens, principals, and the access rules of routes.

Only SHA-256 hashes of tokens are stored. Tokens have 256 bits of entropy, so a slow hash would add
nothing.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends
from starlette.requests import HTTPConnection, Request

from app.database.notifications import Notifications
from app.http.dependencies import services_of
from app.http.headers import header
from app.http.problems import Forbidden, Unauthorized
from app.http.rate_limits import RateLimiter

USER_PREFIX = "ctx_"
JOB_PREFIX = "job_"

CACHE_TTL_S = 3.0
"""Lifetime of a cached token, and so the longest that a revoked one works on any replica."""

_MAX_CACHED = 10_000


def new_token(prefix: str) -> str:
    """Return a random token of 256 bits; its characters are `A-Za-z0-9._-`."""
    return prefix + secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """Return the hash under which a token is stored."""
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class Principal:
    """The identity and the rights that a token authenticates.

    `quota_bytes` is the user's storage quota (None: no limit), `lasts_s` the time from the look-up
    to the token's expiry (None: it does not expire). The token of a lease also sets `job_id` and
    `attempt`; once its lease has ended, `is_live` is false. The routes of the lease then reply with
    the reason, all other routes with `401`.
    """

    user_id: str
    scopes: frozenset[str]
    token_id: str
    job_id: str | None = None
    attempt: int | None = None
    is_live: bool = True
    quota_bytes: int | None = None
    lasts_s: float | None = None

    @property
    def rate_key(self) -> str:
        """The bucket of its rate limit: that of the token, or one for all jobs of the user."""
        return self.token_id if self.job_id is None else self.user_id

    @property
    def is_admin(self) -> bool:
        """True for a token with the scope `admin`."""
        return "admin" in self.scopes


@dataclass(frozen=True, slots=True)
class Access:
    """The tokens that may use a route.

    `scope`, `or_scope`: a token with one of these scopes (`*`: any token, None: no user's token).
    `job`: the token of a live lease; `ended_job`: also that of a lease that has ended.
    `public`: no token is needed. `streams`: the route reads its request body itself. `polls`:
    programs call the route periodically, so that successful requests are logged at DEBUG.
    """

    scope: str | None = None
    or_scope: str | None = None
    job: bool = False
    ended_job: bool = False
    public: bool = False
    streams: bool = False
    polls: bool = False


PUBLIC = Access(public=True)
PROBE = Access(public=True, polls=True)
USER = Access(scope="user")
USER_OR_ADMIN = Access(scope="user", or_scope="admin")
USER_OR_JOB = Access(scope="user", job=True)
USER_OR_JOB_STREAM = Access(scope="user", job=True, streams=True)
WORKER = Access(scope="worker")
WORKER_OR_ADMIN = Access(scope="worker", or_scope="admin")
WORKER_POLL = Access(scope="worker", polls=True)
WORKER_STREAM = Access(scope="worker", streams=True)
ADMIN = Access(scope="admin")
LEASE = Access(ended_job=True, job=True)
LEASE_POLL = Access(ended_job=True, job=True, polls=True)
ANY_TOKEN = Access(scope="*", job=True)


class TokenLookup(Protocol):
    """Look-up of the stored tokens of one kind."""

    async def find(self, token_hash: bytes) -> Principal | None:
        """Return the principal, or None for a token that is unknown, revoked or expired."""
        ...

    async def valid_among(self, token_ids: Collection[str]) -> set[str]:
        """Return the given token ids without those that are revoked or expired."""
        ...


class Revocations:
    """Publishes revoked tokens and deleted users to the handlers of all replicas."""

    TOKEN_TOPIC = "token"  # noqa: S105  # the topic of a notification
    USER_TOPIC = "user"

    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications
        self._on_token: list[Callable[[str], None]] = []
        self._on_user: list[Callable[[str], None]] = []
        notifications.on(self.TOKEN_TOPIC, self._token_revoked)
        notifications.on(self.USER_TOPIC, self._user_deleted)

    def on_token(self, handler: Callable[[str], None]) -> None:
        """Add a handler: called with the id of each token that any replica revokes."""
        self._on_token.append(handler)

    def on_user(self, handler: Callable[[str], None]) -> None:
        """Add a handler: called with the id of each user that any replica deletes."""
        self._on_user.append(handler)

    def revoke_token(self, token_id: str) -> None:
        """Publish a revoked token; call it after the commit."""
        self._token_revoked(token_id)
        self._notifications.notify(self.TOKEN_TOPIC, token_id)

    def delete_user(self, user_id: str) -> None:
        """Publish a deleted user; call it after the commit."""
        self._user_deleted(user_id)
        self._notifications.notify(self.USER_TOPIC, user_id)

    def _token_revoked(self, token_id: str) -> None:
        for handler in self._on_token:
            handler(token_id)

    def _user_deleted(self, user_id: str) -> None:
        for handler in self._on_user:
            handler(user_id)


class Authenticator:
    """Authenticates bearer tokens, with a short-lived cache.

    The token of a lease is valid as long as the lease, so it is looked up for each request. The
    routes of the lease itself are the exception: the job of a token never changes, and their own
    statements check that the lease is live.

    Args:
        users: The tokens of users.
        leases: The tokens of leases.
        revocations: The tokens that are removed from the cache.
        rates: The rate limits of tokens.
    """

    def __init__(
        self,
        *,
        users: TokenLookup,
        leases: TokenLookup,
        revocations: Revocations,
        rates: RateLimiter,
    ) -> None:
        self.rates = rates
        self._users = users
        self._leases = leases
        self._cache: dict[bytes, tuple[float, Principal]] = {}
        revocations.on_token(self._forget_token)
        revocations.on_user(self._forget_user)

    async def resolve(self, token: str, *, allow_ended: bool = False) -> Principal | None:
        """Return the principal of a token; None for one that is unknown, revoked or expired.

        Args:
            token: The token.
            allow_ended: Accept the token of a lease that may have ended.
        """
        token_hash = hash_token(token)
        is_lease = token.startswith(JOB_PREFIX)
        if is_lease and not allow_ended:
            return await self._leases.find(token_hash)
        now = time.monotonic()
        cached = self._cache.get(token_hash)
        if cached is not None and now < cached[0]:
            return cached[1]
        principal = await (self._leases if is_lease else self._users).find(token_hash)
        self._cache.pop(token_hash, None)
        if principal is not None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            lasts_s = CACHE_TTL_S if principal.lasts_s is None else principal.lasts_s
            self._cache[token_hash] = (now + min(lasts_s, CACHE_TTL_S), principal)
        return principal

    def _forget_token(self, token_id: str) -> None:
        self._forget(lambda principal: principal.token_id == token_id)

    def _forget_user(self, user_id: str) -> None:
        self._forget(lambda principal: principal.user_id == user_id)

    def _forget(self, matches: Callable[[Principal], bool]) -> None:
        for key in [key for key, (_, principal) in self._cache.items() if matches(principal)]:
            del self._cache[key]


def bearer_token(connection: HTTPConnection) -> str | None:
    """Return the token of the Authorization header, or None."""
    scheme, _, token = header(connection.scope, b"authorization").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def check_access(access: Access, principal: Principal) -> None:
    """Check that a principal may use a route.

    Raises:
        Unauthorized: The lease of the token has ended.
        Forbidden: The route does not accept this token.
    """
    if principal.job_id is not None:
        if not principal.is_live and not access.ended_job:
            raise Unauthorized(
                f"The lease of this token, for job {principal.job_id}, has ended: claim a new one."
            )
        if not access.job:
            raise Forbidden("This route does not accept the token of a lease: use a user's token.")
        return
    if access.scope == "*":
        return
    if access.scope is None:
        raise Forbidden("This route accepts only the token of the job's lease.")
    if principal.scopes.isdisjoint((access.scope, access.or_scope)):
        scopes = " or ".join(f"`{scope}`" for scope in (access.scope, access.or_scope) if scope)
        raise Forbidden(f"This route requires a token with the scope {scopes}.")


async def authenticate(connection: HTTPConnection, *, allow_ended: bool = False) -> Principal:
    """Return the principal of the connection's Authorization header.

    Args:
        connection: The request.
        allow_ended: Accept the token of a lease that may have ended.

    Raises:
        Unauthorized: The token is missing, unknown, revoked or expired.
        RateLimited: The token has made too many requests.
    """
    token = bearer_token(connection)
    if token is None:
        raise Unauthorized("The request has no token: send `Authorization: Bearer <token>`.")
    authenticator = services_of(connection).get(Authenticator)
    principal = await authenticator.resolve(token, allow_ended=allow_ended)
    if principal is None:
        raise Unauthorized("The token is unknown, revoked or expired: create a new one.")
    authenticator.rates.take(principal.rate_key)
    return principal


def current_principal(request: Request) -> Principal:
    """Return the principal of a request to a route that is not public."""
    principal: Principal = request.state.principal
    return principal


async def _current_principal(request: Request) -> Principal:
    return current_principal(request)  # a plain function would run in a thread


PrincipalDep = Annotated[Principal, Depends(_current_principal)]
