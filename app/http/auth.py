"""Who calls: bearer tokens, the scopes that routes need, and the table of caller and route.

Auth runs when the route is known and before a byte of the body is read (`SecuredRoute`). Only
SHA-256 hashes of tokens are stored; the tokens have 256 bits of entropy, so that a slow hash would
add nothing.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.direct import Handler, direct
from app.http.headers import header
from app.http.problems import Forbidden, NotFound, ProblemError, Unauthorized
from app.http.request_body import JsonRequest, limited

USER_PREFIX = "ctx_"
JOB_PREFIX = "job_"

CACHE_TTL_S = 3.0
"""How long a token is remembered; a revoked one works no longer than that, whatever is lost."""


def new_token(prefix: str) -> str:
    """Return a token of 256 random bits, made of `A-Za-z0-9._-` only."""
    return prefix + secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a token speaks for.

    `quota_bytes` is what the user may store; None: no limit. `lasts_s` after the look-up the token
    expires; None: never.
    With a lease's token `job_id` and `attempt` are set, and `is_live` is false once the lease is
    over: such a token is then only good for being told so by the routes of the lease itself.
    """

    user_id: str
    scopes: frozenset[str]
    token_id: str
    job_id: str | None = None
    attempt: int | None = None
    is_live: bool = True
    quota_bytes: int | None = None
    lasts_s: float | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a route: a token with `scope` (None: nobody), a live lease's token, a dead one's.

    A token with the scope `or_scope` may use it as well.

    `public` routes take no token. `streams` marks routes that read their body themselves.
    """

    scope: str | None = None
    or_scope: str | None = None
    job: bool = False
    dead_job: bool = False
    public: bool = False
    streams: bool = False


PUBLIC = Access(public=True)
USER = Access(scope="user")
USER_OR_ADMIN = Access(scope="user", or_scope="admin")
USER_OR_JOB = Access(scope="user", job=True)
USER_OR_JOB_STREAM = Access(scope="user", job=True, streams=True)
WORKER = Access(scope="worker")
ADMIN = Access(scope="admin")
LEASE = Access(dead_job=True, job=True)
ANY_TOKEN = Access(scope="*", job=True)


class TokenLookup(Protocol):
    """Finds whom a token speaks for, in the database."""

    async def __call__(self, token_hash: bytes) -> Principal | None:
        """Return the principal, or None for a token that is unknown, revoked or expired."""
        ...


class Finder(Protocol):
    """Finds what a parameter of the path names."""

    async def __call__(self, principal: Principal, name: str) -> object:
        """Return anything; raise the problem that the caller is to see where it is not there."""
        ...


class Authenticator:
    """Resolves bearer tokens, with a short memory.

    A lease's token dies with the lease, so it is looked up each time, but for the routes of the
    lease itself: whose job it is never changes, and whether it lives they ask in their statement.
    """

    def __init__(self, users: TokenLookup, jobs: TokenLookup) -> None:
        self._users = users
        self._jobs = jobs
        self._cache: dict[bytes, tuple[float, Principal]] = {}

    async def resolve(self, token: str, *, even_dead: bool = False) -> Principal | None:
        """Return whom the token speaks for; None for a bad one.

        `even_dead`: whether it does not matter if a lease behind it lives.
        """
        token_hash = hash_token(token)
        is_lease = token.startswith(JOB_PREFIX)
        if is_lease and not even_dead:
            return await self._jobs(token_hash)
        now = time.monotonic()
        known = self._cache.get(token_hash)
        if known is not None and now < known[0]:
            return known[1]
        principal = await (self._jobs if is_lease else self._users)(token_hash)
        self._cache.pop(token_hash, None)
        if principal is not None:
            if len(self._cache) >= 10_000:
                self._cache.clear()
            lasts_s = CACHE_TTL_S if principal.lasts_s is None else principal.lasts_s
            self._cache[token_hash] = (now + min(lasts_s, CACHE_TTL_S), principal)
        return principal

    def forget(self, token_id: str) -> None:
        """Drop what is remembered of a token that was revoked."""
        self._forget(lambda principal: principal.token_id == token_id)

    def forget_user(self, user_id: str) -> None:
        """Drop what is remembered of the tokens of a user, and of his jobs' leases."""
        self._forget(lambda principal: principal.user_id == user_id)

    def _forget(self, is_meant: Callable[[Principal], bool]) -> None:
        for key in [k for k, (_, principal) in self._cache.items() if is_meant(principal)]:
            del self._cache[key]


def bearer_token(connection: HTTPConnection) -> str | None:
    """Return the token of the Authorization header."""
    scheme, _, token = header(connection.scope, b"authorization").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def check_access(access: Access, principal: Principal) -> None:
    """Hold a principal against what a route needs.

    Raises:
        Unauthorized: The lease behind the token is over.
        Forbidden: The token may not use this route.
    """
    if principal.job_id is not None:
        if not principal.is_live and not access.dead_job:
            raise Unauthorized("The lease of this token is over.")
        if not access.job:
            raise Forbidden("A job's token may not do that.")
        return
    if access.scope == "*":
        return
    if access.scope is None:
        raise Forbidden("Only the token of the job's lease may do that.")
    if principal.scopes.isdisjoint((access.scope, access.or_scope)):
        raise Forbidden(f"This needs a token with the scope `{access.scope}`.")


class SecuredRoute(APIRoute):
    """A route that checks the caller against the access table before the body is read."""

    _direct: Handler | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._direct = direct(self.dependant)
        if self._direct is not None:
            self.app = _answering(self.get_route_handler())

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler with the check in front."""
        handler = self._direct or super().get_route_handler()
        reads_no_body = self._direct is not None and set(self.methods or ()) <= {"GET", "HEAD"}

        async def secured(request: Request) -> Response:
            rule: Access = request.app.state.access[request.method, self.path_format]
            if not rule.public:
                principal = await authenticate(request, even_dead=rule.dead_job)
                check_access(rule, principal)
                request.state.principal = principal
            if "\x00" in request.scope["path"]:
                raise NotFound
            if not (rule.streams or reads_no_body):
                limit: int = request.app.state.settings.max_json_bytes
                request = JsonRequest(request.scope, limited(request, limit))
            try:
                return await handler(request)
            except RequestValidationError:
                await _find_named(request)
                raise
            except HTTPException as exc:
                # FastAPI answers a body that cannot be read with a bare 400; ours say why.
                if isinstance(exc.__cause__, ProblemError):
                    raise exc.__cause__ from None
                raise

        return secured


def _answering(handler: Handler) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send)

    return app


async def _find_named(request: Request) -> None:
    """Look for what the path names: that it is not there comes before what is wrong with the rest.

    Raises:
        ProblemError: It is not there for the caller, or not his to change.
    """
    finders: Mapping[str, Finder] = request.app.state.finders
    for name, value in request.path_params.items():
        if name in finders:
            await finders[name](current_principal(request), value)


def check_table(access: Mapping[tuple[str, str], Access], routes: Iterable[APIRoute]) -> None:
    """Check that the table of access holds every route.

    Raises:
        LookupError: It lacks one.
    """
    for route in routes:
        for method in route.methods or ():
            if (method, route.path_format) not in access:
                raise LookupError(f"{method} {route.path_format} is not in app.access.ROUTES")


async def authenticate(connection: HTTPConnection, *, even_dead: bool = False) -> Principal:
    """Return whom the connection's Authorization header speaks for.

    `even_dead`: whether it does not matter if a lease behind it lives.

    Raises:
        Unauthorized: It has none, or a bad one.
    """
    token = bearer_token(connection)
    if token is None:
        raise Unauthorized("Send `Authorization: Bearer <token>`.")
    authenticator: Authenticator = connection.app.state.authenticator
    principal = await authenticator.resolve(token, even_dead=even_dead)
    if principal is None:
        raise Unauthorized("This token is unknown, revoked or expired.")
    return principal


def current_principal(request: Request) -> Principal:
    """Whom this request speaks for; only on routes that are not public."""
    principal: Principal = request.state.principal
    return principal


async def _current_principal(request: Request) -> Principal:
    return current_principal(request)  # FastAPI sends what is not `async` through a thread


PrincipalDep = Annotated[Principal, Depends(_current_principal)]
