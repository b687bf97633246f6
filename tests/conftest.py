"""Fixtures with a real PostgreSQL server, a real S3 server, and the service on its own database.

Databases are cloned from a template that the migrations have created. The tests of a module share
one service and create their own users; a test that needs other settings, a second replica or a kill
starts services with `start_service`.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from hypothesis import settings as hypothesis_settings
from sqlalchemy import make_url

from app.database import migrate
from app.database.engine import connect_args
from app.domain import Domain
from app.domains import DOMAINS
from app.embedded.stack import running_stack
from app.settings import Settings
from tests.support.services import SHUTDOWN_GRACE_S, Service, User, run_elsewhere, running

_numbers = itertools.count(1)

# Every run uses the same examples, so that a rare one does not fail an unrelated change.
# `scripts/test --hypothesis-profile=search` looks for new ones.
hypothesis_settings.register_profile("fixed", derandomize=True, deadline=None, database=None)
hypothesis_settings.register_profile("search", deadline=None, max_examples=1000)
hypothesis_settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> None:
    for name in [name for name in os.environ if name.startswith("CONTEXT_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, _clean_environment: None) -> Iterator[Settings]:
    """Settings with the URLs of a running PostgreSQL and S3 server."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("stack"), port=0)
    # Each service has its own buckets, and each bucket with objects needs a volume.
    with running_stack(settings, s3_volume_mb=64) as stack:
        # The data is not needed after the tests: durability is off, and the servers are killed,
        # because the checkpoint of a clean shutdown takes longer than many tests.
        execute(stack.settings, "alter system set fsync = off")
        execute(stack.settings, "select pg_reload_conf()")
        yield stack.settings
        for server in stack.servers:
            os.kill(server.child.pid, signal.SIGQUIT)


@pytest.fixture(scope="session")
def template(stack: Settings) -> str:
    """Name of a database that has the schema and no rows."""
    name = "template_context"
    execute(stack, f"create database {name}")
    migrate.upgrade(database_url(stack, name))
    return name


@pytest.fixture(scope="session")
def new_database(stack: Settings, template: str) -> Callable[[], str]:
    """Function that creates a database from the template and returns its URL."""

    def make() -> str:
        name = f"test_{next(_numbers)}"
        execute(stack, f"create database {name} template {template}")
        return database_url(stack, name)

    return make


@pytest.fixture(scope="session")
def new_settings(
    stack: Settings, new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Settings]:
    """Function that returns the settings of a service with its own database and buckets."""

    def make(**changes: Any) -> Settings:
        number = next(_numbers)
        given = {
            "database_url": changes.pop("database_url", None) or new_database(),
            "data_dir": tmp_path_factory.mktemp("service"),
            "s3_asset_bucket": f"assets-{number}",
            "s3_temp_bucket": f"temp-{number}",
            "log_level": "WARNING",
            **changes,
        }
        return Settings.model_validate({**stack.model_dump(), **given})

    return make


@pytest.fixture(scope="session")
def _module_service(
    new_settings: Callable[..., Settings],
) -> Iterator[Callable[[Path], Service]]:
    services: dict[Path, Service] = {}
    with ExitStack() as stack:

        def of(path: Path) -> Service:
            if path not in services:
                stack.close()
                services.clear()
                services[path] = stack.enter_context(
                    running(new_settings(shutdown_grace_s=SHUTDOWN_GRACE_S))
                )
            return services[path]

        yield of


@pytest.fixture
def service(_module_service: Callable[[Path], Service], request: pytest.FixtureRequest) -> Service:
    """The running service of the module, with default settings."""
    return _module_service(request.path)


@pytest.fixture
def start_service(new_settings: Callable[..., Settings]) -> Iterator[Callable[..., Service]]:
    """Function that starts a service with other settings; `like=service` starts a replica of it.

    `domains` are its domains, see `with_domain`.
    """
    started: list[Service] = []
    with ExitStack() as stack:

        def start(
            *, like: Service | None = None, domains: Sequence[Domain] = DOMAINS, **changes: Any
        ) -> Service:
            if like is None:
                settings = new_settings(**{"shutdown_grace_s": SHUTDOWN_GRACE_S, **changes})
            else:
                settings = like.settings.model_copy(update={"port": 0, **changes})
            started.append(stack.enter_context(running(settings, domains)))
            return started[-1]

        yield start
        for service in started:  # in parallel; the exit stack waits for each
            service.stop()


@pytest_asyncio.fixture
async def user(service: Service) -> AsyncIterator[User]:
    """A new user of the module's service, with an HTTP client."""
    async with await service.new_user() as created:
        yield created


@pytest_asyncio.fixture
async def other(service: Service) -> AsyncIterator[User]:
    """Another new user of the module's service, with an HTTP client."""
    async with await service.new_user() as created:
        yield created


@pytest_asyncio.fixture
async def admin(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP client with the token of the first user, which has all scopes."""
    async with service.client() as client:
        yield client


def database_url(stack: Settings, name: str) -> str:
    """Return the URL of a database of the stack's PostgreSQL."""
    assert stack.database_url
    return make_url(stack.database_url).set(database=name).render_as_string(hide_password=False)


def execute(stack: Settings, statement: str) -> None:
    """Run one statement on the default database of the stack."""

    async def run() -> None:
        assert stack.database_url
        connection = await asyncpg.connect(**connect_args(stack.database_url))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    run_elsewhere(run())
