"""Stack of embedded servers, for those that the settings do not name."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from pydantic import SecretStr

from app.embedded.credentials import Credentials, load_credentials
from app.embedded.lock import data_dir_lock, in_use
from app.embedded.postgres import Postgres, database_url
from app.embedded.process import Child
from app.embedded.s3 import SeaweedFS, running_endpoint
from app.embedded.supervision import START_S, keep_running
from app.runtime.errors import CommandError
from app.settings import Settings

logger = logging.getLogger(__name__)


class Server(Protocol):
    """An embedded server."""

    child: Child

    def prepare(self) -> None:
        """Create the files that the server needs to start."""

    def is_ready(self) -> bool:
        """Return True if the server accepts requests."""

    def clean_up(self) -> None:
        """Remove the server's files outside the data directory."""


class Stack:
    """Servers of a data directory, the slowest first; `settings` has their URLs.

    `psql` is a command line that opens the embedded database.
    """

    def __init__(
        self, settings: Settings, servers: Sequence[Server] = (), *, psql: str | None = None
    ) -> None:
        self.settings = settings
        self.psql = psql
        self.database_url = settings.database_url or database_url(settings.data_dir)
        self.servers = servers

    def start(self, meanwhile: Callable[[], None]) -> None:
        """Start the servers concurrently, call `meanwhile`, and wait until all are ready.

        Raises:
            CommandError: A server has exited or is not ready in time.
        """
        for server in self.servers:
            server.prepare()
            server.child.start()
        meanwhile()
        deadline = time.monotonic() + START_S
        for server in self.servers:
            while not server.is_ready():
                _check_alive(server.child)
                if time.monotonic() > deadline:
                    raise CommandError(_not_ready(server.child))
                time.sleep(0.01)

    def stop(self) -> None:
        """Stop the servers concurrently; kill them on KeyboardInterrupt."""
        children = [server.child for server in self.servers]
        try:
            for child in children:
                child.ask_to_stop()
            for child in children:
                child.wait()
        except KeyboardInterrupt:
            logger.warning("servers were killed; they will recover at the next start")
        finally:
            for server in self.servers:
                server.child.kill()
                server.clean_up()

    def watches(self) -> list[Coroutine[None, None, None]]:
        """Return coroutines that restart the servers, to be run in the main thread.

        A coroutine ends only with CommandError, if its server cannot be restarted.
        """
        return [keep_running(server.child, server.is_ready, tries=8) for server in self.servers]


@contextmanager
def running_stack(
    settings: Settings,
    *,
    storage: bool = True,
    s3_volume_mb: int | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> Iterator[Stack]:
    """Run the servers of a data directory; to be entered in the main thread.

    Args:
        settings: The settings.
        storage: Whether the S3 server is needed.
        s3_volume_mb: See `SeaweedFS`.
        meanwhile: Called while the servers start.

    Raises:
        CommandError: A server cannot start, or the data directory is in use.
    """
    if settings.database_url is not None and settings.s3_endpoint is not None:
        meanwhile()
        yield Stack(_with_secret_key(settings))
        return
    settings = _with_data_dir(settings)
    with data_dir_lock(settings.data_dir) as lock:
        stack = _assemble(settings, lock, storage=storage, s3_volume_mb=s3_volume_mb)
        try:
            stack.start(meanwhile)
            yield stack
        finally:
            stack.stop()


def _assemble(settings: Settings, lock: int, *, storage: bool, s3_volume_mb: int | None) -> Stack:
    credentials = load_credentials(settings.data_dir)
    servers: list[Server] = []
    found: dict[str, object] = {}
    psql = None
    if settings.database_url is None:
        postgres = Postgres(settings, inherit=lock)
        servers.append(postgres)
        psql = postgres.psql
        found["database_url"] = database_url(settings.data_dir)
    if storage and settings.s3_endpoint is None:
        s3 = SeaweedFS(settings, credentials, inherit=lock, volume_mb=s3_volume_mb)
        servers.insert(0, s3)
        found |= _access(s3.endpoint, credentials)
    if settings.secret_key is None:
        found["secret_key"] = SecretStr(credentials.secret_key)
    return Stack(settings.model_copy(update=found), servers, psql=psql)


@contextmanager
def embedded_stack(settings: Settings) -> Iterator[Settings]:
    """Run the servers of a data directory; yield the settings with their URLs and credentials."""
    with running_stack(settings) as stack:
        yield stack.settings


@contextmanager
def embedded_database(settings: Settings) -> Iterator[str]:
    """Yield the URL of the database: configured, of a running stack, or of a temporary stack."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    settings = _with_data_dir(settings)
    if in_use(settings.data_dir):
        yield database_url(settings.data_dir)
        return
    with running_stack(settings, storage=False) as stack:
        yield stack.database_url


@contextmanager
def reachable_stack(settings: Settings) -> Iterator[Settings]:
    """Yield settings with server URLs: configured, of a running stack, or of a temporary stack."""
    if settings.database_url is not None and settings.s3_endpoint is not None:
        yield _with_secret_key(settings)
        return
    settings = _with_data_dir(settings)
    if not in_use(settings.data_dir):
        with embedded_stack(settings) as found:
            yield found
        return
    credentials = load_credentials(settings.data_dir)
    running: dict[str, object] = {}
    if settings.s3_endpoint is None:
        running = _access(running_endpoint(settings.data_dir), credentials)
    if settings.database_url is None:
        running["database_url"] = database_url(settings.data_dir)
    yield settings.model_copy(update=running)


def _with_secret_key(settings: Settings) -> Settings:
    """Return settings with a secret key, which the replicas of a shared data directory share."""
    if settings.secret_key is not None:
        return settings
    settings = _with_data_dir(settings)
    key = SecretStr(load_credentials(settings.data_dir).secret_key)
    return settings.model_copy(update={"secret_key": key})


def _access(endpoint: str, credentials: Credentials) -> dict[str, object]:
    return {
        "s3_endpoint": endpoint,
        "s3_access_key": SecretStr(credentials.s3_access_key),
        "s3_secret_key": SecretStr(credentials.s3_secret_key),
    }


def _with_data_dir(settings: Settings) -> Settings:
    data_dir = settings.data_dir.expanduser().absolute()
    # For root, PostgreSQL runs as another user, who must be able to enter the folder; its files
    # are private.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        data_dir.mkdir(mode=mode, parents=True, exist_ok=True)
        for name in ("log", "s3"):
            (data_dir / name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise CommandError(f"cannot use the data dir {data_dir}: {error.strerror}") from error
    return settings.model_copy(update={"data_dir": data_dir})


def _check_alive(child: Child) -> None:
    if child.exit_code is not None:
        raise CommandError(
            f"{child.command.name} exited at its start (exit code {child.exit_code}); the end of "
            f"{child.command.log}:\n{child.log_tail()}"
        )


def _not_ready(child: Child) -> str:
    return f"{child.command.name} was not ready after {START_S:g} s, see {child.command.log}"
