"""Services as FastAPI dependencies.

Workers = Annotated[WorkerService, Injected(WorkerService)]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection

from app.runtime.services import Services

T = TypeVar("T")


def services_of(connection: HTTPConnection) -> Services:
    """Return the services of the application that serves a request or a socket."""
    services: Services = connection.app.state.services
    return services


class ServiceDependency(Generic[T]):
    """FastAPI dependency that resolves to the registered service of a class."""

    def __init__(self, kind: type[T]) -> None:
        self.kind = kind

    async def __call__(self, connection: HTTPConnection) -> T:
        """Return the service."""
        return services_of(connection).get(self.kind)


def Injected(kind: type[Any]) -> Any:  # noqa: N802  # named like `Depends`, which it replaces
    """Return a dependency on the service of a class, for use in `Annotated`."""
    return Depends(ServiceDependency(kind))


def check_services(routes: Iterable[APIRoute], services: Services) -> None:
    """Check that every service that the routes depend on is registered.

    Raises:
        LookupError: A service is missing.
    """
    for route in routes:
        for dependant in _tree(route.dependant):
            if isinstance(dependant.call, ServiceDependency):
                services.get(dependant.call.kind)


def _tree(dependant: Any) -> Iterator[Any]:
    yield dependant
    for each in dependant.dependencies:
        yield from _tree(each)
