"""The class `Domain`: everything that a domain registers with the application."""

from __future__ import annotations

from collections.abc import (
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from fastapi import APIRouter
from pydantic import BaseModel

from app.database.statement import Connection
from app.database.tables import Base
from app.http.auth import Access, Principal
from app.runtime.cleanup import CleanupStep
from app.runtime.periodic_tasks import PeriodicTask
from app.runtime.services import Services
from app.storage.stored_objects import StoredObjects


class DeleteSome(Protocol):
    """Function that deletes a batch of a deleted user's rows, with their objects in storage."""

    async def __call__(self, services: Services, user_id: str, *, limit: int) -> int:
        """Delete at most `limit` rows; return the number of deleted rows, 0 after the last one."""
        ...


AfterCommit = Callable[[], None]
"""Function that is called once the transaction is committed."""


class EndTokens(Protocol):
    """Function that ends everything that depends on tokens, when they are revoked."""

    async def __call__(
        self, services: Services, on: Connection, token_ids: Collection[str]
    ) -> AfterCommit:
        """Change rows in the transaction that revokes the tokens; return what publishes that."""
        ...


@dataclass(frozen=True, kw_only=True)
class UserData:
    """Rows of users, and the function that deletes them after their user is deleted.

    Args:
        label: The name of the rows in reports.
        tables: The tables that `delete` deletes from. A table with a `user_id` has to be listed,
            unless its rows are deleted with those of a listed table (`ON DELETE CASCADE`).
        delete: The function that deletes a batch of one user's rows.
    """

    label: str
    tables: Sequence[type[Base]]
    delete: DeleteSome


async def _nothing(_services: Services) -> None:
    """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """Registration of a domain; `domain.py` in the domain's folder defines it as `DOMAIN`.

    Args:
        name: The name of the folder.
        routers: The routers; their routes are `SecuredRoute`s.
        webhooks: Routes that document the requests which the service sends.
        schemas: Wire models that routes refer to by name only (`openapi_extra`).
        access: The access rule of each route: `{"GET /v1/assets/{asset_id}": USER_OR_JOB}`.
        tables: The tables.
        expiring_tables: Tables whose rows expire within minutes, so that the rows of deleted users
            need not be deleted.
        build: Creates the services; those of earlier domains can be used.
        path_lookups: Look-ups of the objects of path parameters, by the parameter's name.
        user_data: The rows of users.
        cleanup: Creates the steps of the cleanup. Only the services that belong to no domain can be
            used, since the command line cleans up without the others.
        stored_objects: Creates the descriptions of its objects in buckets, from the same services.
        job_ends: Returns the times at which those of the jobs ended that the domain has, None for
            unfinished ones; temporary files of jobs are kept for some time after it.
        end_tokens: Ends what depends on revoked tokens, in the transaction that revokes them.
        tasks: Creates the periodic background tasks.
        start: Called when a replica starts, after the database and the earlier domains.
        stop: Called when a replica stops, before the earlier domains stop.
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
    cleanup: Callable[[Services], Iterable[CleanupStep]] = lambda _services: ()
    stored_objects: Callable[[Services], Iterable[StoredObjects]] = lambda _services: ()
    end_tokens: EndTokens | None = None
    job_ends: (
        Callable[[Services, Collection[str]], Awaitable[Mapping[str, datetime | None]]] | None
    ) = None
    tasks: Callable[[Services], Iterable[PeriodicTask]] = lambda _services: ()
    start: Callable[[Services], Awaitable[None]] = _nothing
    stop: Callable[[Services], Awaitable[None]] = _nothing


class Domains:
    """Domains of one application, each after those that it uses."""

    def __init__(self, domains: Sequence[Domain]) -> None:
        self._domains = domains

    def __iter__(self) -> Iterator[Domain]:
        return iter(self._domains)

    @property
    def user_data(self) -> Sequence[UserData]:
        """The rows of users in the order of their deletion: rows that refer to others first."""
        return [data for domain in reversed(self._domains) for data in domain.user_data]

    def cleanup(self, services: Services) -> Sequence[CleanupStep]:
        """Return the steps of the cleanup, in the order of the domains."""
        return [step for domain in self._domains for step in domain.cleanup(services)]

    def stored_objects(self, services: Services) -> Sequence[StoredObjects]:
        """Return the objects in buckets, of domains that use others first."""
        return [
            objects
            for domain in reversed(self._domains)
            for objects in domain.stored_objects(services)
        ]

    async def job_ends(
        self, services: Services, job_ids: Collection[str]
    ) -> dict[str, datetime | None]:
        """Return the times at which those of the jobs ended that exist; None: unfinished."""
        found: dict[str, datetime | None] = {}
        for domain in self._domains:
            if domain.job_ends is not None:
                found.update(await domain.job_ends(services, job_ids))
        return found

    async def end_tokens(
        self, services: Services, on: Connection, token_ids: Collection[str]
    ) -> Sequence[AfterCommit]:
        """End what depends on revoked tokens in all domains; call the results after the commit."""
        return [
            await domain.end_tokens(services, on, token_ids)
            for domain in self._domains
            if domain.end_tokens is not None and token_ids
        ]
