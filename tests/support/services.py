"""The service in a thread, run by the production server class."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import uvloop
from fastapi import FastAPI

from app.application import create_app
from app.database.engine import Database
from app.domain import Domain
from app.domains import DOMAINS
from app.runtime.services import Services
from app.runtime.shutdown import Shutdown
from app.server.listen import bind, local_url
from app.server.uvicorn_server import Server
from app.settings import Settings
from app.storage import Storage
from app.users.bootstrap import set_up

T = TypeVar("T")

WAIT_S = 120.0
"""Longest time that tests wait for an expected event; even slow machines need less."""

SHUTDOWN_GRACE_S = 2
"""Time that running requests have when a service in a thread stops."""

_taken: list[socket.socket] = []


@dataclass
class User:
    """A user, a token of the user, and an HTTP client that sends it."""

    id: str
    token: str
    http: httpx.AsyncClient = field(repr=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.http.aclose()


@dataclass
class Service:
    """A running service; `token` belongs to the first user and has all scopes."""

    url: str
    token: str
    settings: Settings
    app: FastAPI = field(repr=False)
    _server: Server = field(repr=False)
    loop: asyncio.AbstractEventLoop = field(repr=False)

    @property
    def ws_url(self) -> str:
        """The URL of the WebSocket."""
        return self.url.replace("http", "ws", 1) + "/v1/ws"

    def get(self, kind: type[T]) -> T:
        """Return the application's service of a class."""
        services: Services = self.app.state.services
        return services.get(kind)

    @property
    def db(self) -> Database:
        """The database of the service."""
        return self.get(Database)

    @property
    def storage(self) -> Storage:
        """The storage of the service."""
        return self.get(Storage)

    def client(self, token: str | None = None, **options: Any) -> httpx.AsyncClient:
        """Return an HTTP client that sends a token, by default that of the first user."""
        headers = {"Authorization": f"Bearer {token or self.token}", **options.pop("headers", {})}
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=options.pop("timeout", WAIT_S), **options
        )

    async def new_token(self, user_id: str, scopes: Collection[str] = ("user",)) -> str:
        """Return a new token of a user."""
        async with self.client() as admin:
            body = {"name": "test", "scopes": list(scopes), "user_id": user_id}
            reply = await admin.post("/v1/tokens", json=body)
            assert reply.status_code == 201, reply.text
            token: str = reply.json()["token"]
            return token

    async def new_user(self, name: str = "somebody", scopes: Collection[str] = ("user",)) -> User:
        """Return a new user with a token of these scopes."""
        async with self.client() as admin:
            reply = await admin.post("/v1/users", json={"name": name})
            assert reply.status_code == 201, reply.text
        user_id = reply.json()["id"]
        token = await self.new_token(user_id, scopes)
        return User(user_id, token, self.client(token))

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop of the service, to which its pools are bound."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    def stop(self) -> None:
        """Start the shutdown, like a signal."""
        self._server.should_exit = True
        with suppress(RuntimeError):  # the loop is closed: the service has stopped
            self.loop.call_soon_threadsafe(self.get(Shutdown).begin)


async def eventually(holds: Callable[[], Awaitable[bool]], *, within_s: float = WAIT_S) -> None:
    """Wait until `holds()` returns True; fail if that takes too long."""
    deadline = time.monotonic() + within_s
    while not await holds():
        assert time.monotonic() < deadline, f"still not so after {within_s:g} s"
        await asyncio.sleep(0.05)


def run_elsewhere(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in another thread, where no loop is running; return its result."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def free_port() -> int:
    """Return a port that is reserved until the tests end, for a server that binds to it.

    The port stays bound. On Linux a server can bind to it too, since both sockets set SO_REUSEADDR
    and the first one does not listen; the kernel does not give the port to other programs.
    """
    taken = bind(Settings(port=0))
    port: int = taken.getsockname()[1]
    if sys.platform == "linux":
        _taken.append(taken)
    else:
        taken.close()
    return port


def with_domain(name: str, **changes: Any) -> Sequence[Domain]:
    """Return the domains of the service, with `changes` to one of them."""
    return [replace(domain, **changes) if domain.name == name else domain for domain in DOMAINS]


@contextmanager
def running(settings: Settings, domains: Sequence[Domain] = DOMAINS) -> Iterator[Service]:
    """Run a service in a thread until the block ends; its first user has all scopes."""
    token = _first_token(settings)
    listener = bind(settings)
    settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    app = create_app(settings, domains)
    server = Server(app, settings)
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            with runner, closing(listener):
                runner.run(server.serve(sockets=[listener]))
        except BaseException as exc:
            failures.append(exc)

    thread = threading.Thread(target=serve, name=f"service-{settings.port}", daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
        if not thread.is_alive():
            raise RuntimeError("the service did not start") from next(iter(failures), None)
    service = Service(local_url(listener), token, settings, app, server, runner.get_loop())
    try:
        yield service
    finally:
        if thread.is_alive():
            service.stop()
            thread.join(WAIT_S)
        if thread.is_alive():
            raise RuntimeError(f"the service did not stop within {WAIT_S:g} s")


def _first_token(settings: Settings) -> str:
    token = run_elsewhere(set_up(settings)).first_user
    # A replica with a data directory of its own does not know the token that another one generated.
    return token.secret if token else ""
