"""Service for workers: registration, heartbeats, and authorisation of requests for a worker."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from app.catalogue.errors import NoCatalogueRegistered
from app.catalogue.service import CatalogueService, WorkerNodes
from app.database.engine import Database
from app.database.statement import Connection
from app.http import pagination
from app.http.auth import Principal
from app.http.idempotency.keys import IdempotencyKey, fingerprint_of
from app.http.pagination import Page
from app.http.problems import Forbidden
from app.http.quotas import CountQuota
from app.runtime.ids import new_id
from app.settings import Settings
from app.workers import queries
from app.workers.errors import WorkerNotFound
from app.workers.limits import RegistrationLimits
from app.workers.queries import CapabilitiesRecord, RegistrationRecord, WorkerRecord
from processing_context.wire.workers import WorkerCreate

_MAX_CACHED_NAMES = 1_000_000
"""Node types and capabilities of the cached registrations."""


@dataclass(frozen=True, slots=True)
class WorkerCapabilities:
    """Capabilities of a worker; `node_types` None: it runs all types."""

    names: frozenset[str]
    node_types: frozenset[str] | None

    def can_run(self, capabilities: Iterable[str], node_types: Iterable[str]) -> bool:
        """Return True if the worker can run a job with these requirements."""
        return self.names.issuperset(capabilities) and (
            self.node_types is None or self.node_types.issuperset(node_types)
        )


@dataclass(frozen=True, slots=True)
class Claimant:
    """A worker that claims jobs; `owner_id` None: it runs jobs of all users."""

    id: str
    owner_id: str | None
    capabilities: WorkerCapabilities
    is_draining: bool


class WorkerService:
    """Workers of all users; a worker is lost if it was not seen for two lease durations."""

    def __init__(self, db: Database, catalogues: CatalogueService, settings: Settings) -> None:
        self._db = db
        self._catalogues = catalogues
        self.lost_after_s = 2 * settings.lease_ttl_s
        self._limits = RegistrationLimits(settings)
        self._quota = CountQuota(
            "workers",
            settings.max_workers_per_user,
            lambda user_id, limit: queries.count(db.pool, user_id, limit),
            remedy="remove workers that no longer run.",
        )
        self._seen: set[str] = set()
        self._registrations: dict[str, RegistrationRecord] = {}
        self._cached_names = 0

    async def register(
        self, principal: Principal, request: WorkerCreate, key: IdempotencyKey
    ) -> tuple[str, bool]:
        """Create a worker; only the token that registers it may act for it.

        Returns:
            Its id, and whether an earlier request with the same key created it.

        Raises:
            ValidationFailed: It has too many node types or capabilities.
            MetadataTooLarge: The metadata is too large.
            QuotaExceeded: The user has too many workers.
        """
        created = await key.begin(fingerprint_of(request))
        if created is not None:
            return created, True
        self._limits.check(request)
        await self._quota.check(principal.user_id)
        worker_id, types = new_id(), request.node_types
        async with self._db.transaction() as on:
            await queries.insert(
                on,
                worker_id,
                user_id=principal.user_id,
                token_id=principal.token_id,
                is_fleet="fleet" in principal.scopes,
                name=request.name,
                capabilities=sorted(set(request.capabilities)),
                node_types=None if types is None else sorted(set(types)),
                slots=request.slots,
                metadata=request.metadata,
                catalogue=request.catalogue,
            )
            await key.complete(on, worker_id)
        return worker_id, False

    async def wants_catalogue(self, worker_id: str, principal: Principal) -> bool:
        """Return True if a worker is to send the descriptions of its nodes.

        Raises:
            WorkerNotFound: It was removed, possibly as lost, or belongs to another user.
            Forbidden: Another token registered it.
        """
        found = _check(await queries.find(self._db.pool, worker_id), worker_id, principal)
        nodes = _nodes(found)
        return nodes is not None and not await self._catalogues.is_stored(nodes)

    async def catalogue_of(self, worker_id: str, principal: Principal) -> WorkerNodes:
        """Return the hash that a worker registered for the descriptions of its nodes.

        Raises:
            WorkerNotFound: It was removed, possibly as lost, or belongs to another user.
            Forbidden: Another token registered it.
            NoCatalogueRegistered: It registered without one.
        """
        found = _check(await queries.find(self._db.pool, worker_id), worker_id, principal)
        if (nodes := _nodes(found)) is None:
            raise NoCatalogueRegistered(worker_id)
        return nodes

    async def mark_catalogues_seen(self) -> None:
        """Record that the node descriptions of all workers are in use."""
        found = await queries.catalogues(self._db.pool)
        await self._catalogues.mark_seen([WorkerNodes(*each) for each in found])

    async def page(
        self, user_id: str | None, page: Page
    ) -> tuple[Sequence[WorkerRecord], str | None]:
        """Return a page of a user's workers (None: of all), newest first, and the next cursor."""
        listed = await queries.page(
            self._db.pool,
            user_id=user_id,
            lost_after_s=self.lost_after_s,
            after=page.after,
            size=page.size,
        )
        return listed.rows, pagination.next_cursor(listed)

    async def heartbeat(
        self, worker_id: str, principal: Principal, *, draining: bool | None
    ) -> WorkerRecord:
        """Record a heartbeat of a worker; return the worker.

        Args:
            worker_id: The worker.
            principal: The token that acts for it.
            draining: Whether it accepts no new jobs; None for no change.

        Raises:
            WorkerNotFound: It was removed, possibly as lost, or belongs to another user.
            Forbidden: Another token registered it.
        """
        async with self._db.transaction() as on:
            _check(await queries.lock_shared(on, worker_id), worker_id, principal)
            await queries.record_heartbeat(on, worker_id, is_draining=draining)
            worker = await queries.get(on, worker_id, lost_after_s=self.lost_after_s)
        if worker is None:
            raise WorkerNotFound(worker_id)
        return worker

    async def claimant(self, worker_id: str, principal: Principal) -> Claimant:
        """Return a worker that claims jobs, from a cache; it may have been deleted since.

        Its capabilities never change, so each replica reads them once.

        Raises:
            WorkerNotFound: It was removed, possibly as lost, or belongs to another user.
            Forbidden: Another token registered it.
        """
        found = self._registrations.get(worker_id)
        if found is None:
            found = _check(await queries.find(self._db.pool, worker_id), worker_id, principal)
            self._cache(worker_id, found)
        _check(found, worker_id, principal)
        return Claimant(
            id=worker_id,
            owner_id=None if found.is_fleet else found.user_id,
            capabilities=_capabilities(found),
            is_draining=found.is_draining,
        )

    async def registration(self, worker_id: str, principal: Principal) -> RegistrationRecord:
        """Return the registration of a worker; an admin reads those of all users.

        Raises:
            WorkerNotFound: It was removed, possibly as lost, or belongs to another user.
            Forbidden: Another token registered it.
        """
        return _check_or_admin(await queries.find(self._db.pool, worker_id), worker_id, principal)

    def evict(self, worker_id: str) -> None:
        """Remove a worker from the cache of registrations."""
        self._registrations.pop(worker_id, None)

    def _cache(self, worker_id: str, registration: RegistrationRecord) -> None:
        self._cached_names += (
            1 + len(registration.capabilities) + len(registration.node_types or ())
        )
        if self._cached_names > _MAX_CACHED_NAMES:
            self._registrations.clear()
            self._cached_names = 0
        self._registrations[worker_id] = registration

    async def delete(self, on: Connection, worker_id: str, principal: Principal) -> None:
        """Delete a worker; the caller must end its leases. An admin deletes those of all users.

        Raises:
            WorkerNotFound: It does not exist or belongs to another user.
            Forbidden: Another token registered it.
        """
        _check_or_admin(await queries.lock(on, worker_id), worker_id, principal)
        await queries.delete(on, worker_id)

    async def token_ids(self) -> list[str]:
        """Return the ids of the tokens of all workers."""
        return await queries.token_ids(self._db.pool)

    async def delete_of_tokens(self, on: Connection, token_ids: Collection[str]) -> list[str]:
        """Delete the workers of tokens; return their ids. The caller must end their leases."""
        return await queries.delete_of_tokens(on, token_ids)

    async def active(self, user_id: str) -> list[WorkerCapabilities]:
        """Return the capabilities of the active workers that run jobs of a user."""
        found = await queries.active(self._db.pool, user_id=user_id, lost_after_s=self.lost_after_s)
        return [_capabilities(row) for row in found]

    def mark_seen(self, worker_id: str) -> None:
        """Record in memory that a worker is alive; `flush_seen` stores it."""
        self._seen.add(worker_id)

    async def flush_seen(self) -> None:
        """Store the workers seen since the last call, with one statement."""
        if self._seen:
            seen, self._seen = self._seen, set()
            await queries.mark_seen(self._db.pool, seen)

    async def delete_lost(self) -> None:
        """Delete workers that were not seen for a day and run no job."""
        await queries.delete_lost(self._db.pool)


def _capabilities(row: RegistrationRecord | CapabilitiesRecord) -> WorkerCapabilities:
    types = row.node_types
    return WorkerCapabilities(
        frozenset(row.capabilities), None if types is None else frozenset(types)
    )


def _nodes(found: RegistrationRecord) -> WorkerNodes | None:
    if found.catalogue is None:
        return None
    return WorkerNodes(found.user_id, found.is_fleet, found.catalogue)


def _check(
    found: RegistrationRecord | None, worker_id: str, principal: Principal
) -> RegistrationRecord:
    """Return a registration if the token of the principal created it.

    Raises:
        WorkerNotFound: The worker does not exist or belongs to another user.
        Forbidden: Another token registered the worker.
    """
    if found is None or found.user_id != principal.user_id:
        raise WorkerNotFound(worker_id)
    if found.token_id != principal.token_id:
        raise Forbidden(f"Worker {worker_id} was registered by another token: use that token.")
    return found


def _check_or_admin(
    found: RegistrationRecord | None, worker_id: str, principal: Principal
) -> RegistrationRecord:
    """Return a registration of any user to an admin, otherwise as `_check` does."""
    if found is None or not principal.is_admin:
        return _check(found, worker_id, principal)
    return found
