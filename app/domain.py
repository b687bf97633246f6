"""The registration of a domain: everything that the application has to know of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fastapi import APIRouter
from pydantic import BaseModel

from app.database.tables import Base
from app.http.auth import Access, Principal
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services


class DeleteSome(Protocol):
    """Deletes some of a deleted user's rows, with what belongs to them."""

    async def __call__(self, services: Services, user_id: str, *, limit: int) -> int:
        """Delete at most `limit` rows; return how many were deleted, 0 when none is left."""
        ...


@dataclass(frozen=True, kw_only=True)
class UserData:
    """Rows of users, and how they are deleted after their user.

    Args:
        label: The rows, as reports name them.
        tables: The tables that `delete` empties. A table with a `user_id` has to be named here,
            unless its rows go with those of a named table (`ON DELETE CASCADE`).
        delete: Deletes some of one user's rows.
    """

    label: str
    tables: Sequence[type[Base]]
    delete: DeleteSome


async def _nothing(_services: Services) -> None:
    """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One domain of the service; `domain.py` in its folder holds this value.

    Args:
        name: The name of its folder.
        routers: Its routes. Their class is `SecuredRoute`.
        webhooks: Requests that the service sends, documented as routes.
        schemas: Wire models that its routes refer to by name only (`openapi_extra`).
        access: The access rule of each route: `{"GET /v1/assets/{asset_id}": USER_OR_JOB}`.
        tables: Its tables.
        expiring_tables: Those of its tables whose rows expire within minutes, users' or not.
        build: Makes its services from those of the domains before it.
        path_lookups: Finds the object that a path parameter names, by the parameter's name.
        user_data: Rows of users.
        tasks: Its periodic background tasks.
        start: Called once the database, storage and the domains before it have started.
        stop: Called when the replica stops, before the domains before it.
    """

    name: str
    routers: Sequence[APIRouter] = ()
    webhooks: Sequence[APIRouter] = ()
    schemas: Sequence[type[BaseModel]] = ()
    access: Mapping[str, Access] = field(default_factory=dict)
    tables: Sequence[type[Base]] = ()
    expiring_tables: Sequence[type[Base]] = ()
    build: Callable[[Services], Iterable[object]] = lambda _services: ()
    path_lookups: Mapping[str, Callable[[Services, Principal, str], Awaitable[object]]] = field(
        default_factory=dict
    )
    user_data: Sequence[UserData] = ()
    tasks: Callable[[Services], Iterable[PeriodicTask]] = lambda _services: ()
    start: Callable[[Services], Awaitable[None]] = _nothing
    stop: Callable[[Services], Awaitable[None]] = _nothing


class Domains:
    """The domains of one application, each after those that it uses."""

    def __init__(self, domains: Sequence[Domain]) -> None:
        self._domains = domains

    def __iter__(self) -> Iterator[Domain]:
        return iter(self._domains)

    @property
    def user_data(self) -> Sequence[UserData]:
        """Rows of users, those that use others first: the order in which they are deleted."""
        return [data for domain in reversed(self._domains) for data in domain.user_data]
