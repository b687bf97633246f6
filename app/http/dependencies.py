"""Services as FastAPI dependencies.

Workers = Annotated[WorkerService, Injected(WorkerService)]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection

from app.database.engine import Database
from app.runtime.services import Services

T = TypeVar("T")


def services_of(connection: HTTPConnection) -> Services:
    """Return the services of the application that serves a request or a socket."""
    services: Services = connection.app.state.services
    return services


class ServiceDependency(Generic[T]):
    """A dependency that is the service of a class."""

    def __init__(self, kind: type[T]) -> None:
        self.kind = kind

    async def __call__(self, connection: HTTPConnection) -> T:
        """Return the service."""
        return services_of(connection).get(self.kind)


def Injected(kind: type[Any]) -> Any:  # noqa: N802  # it stands where `Depends` does
    """Return the marker of a parameter that is the service of a class, for `Annotated`."""
    return Depends(ServiceDependency(kind))


def check_services(routes: Iterable[APIRoute], services: Services) -> None:
    """Check that every service that the routes depend on is registered.

    Raises:
        LookupError: One is not.
    """
    for route in routes:
        for dependant in _tree(route.dependant):
            if isinstance(dependant.call, ServiceDependency):
                services.get(dependant.call.kind)


def _tree(dependant: Any) -> Iterator[Any]:
    yield dependant
    for each in dependant.dependencies:
        yield from _tree(each)


DatabaseDep = Annotated[Database, Injected(Database)]
