"""Workers: who is there, who may speak for whom, and what each can run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import asyncpg

from app.database.engine import Database
from app.database.statement import Connection
from app.http.auth import Principal
from app.http.idempotency.keys import IdempotencyKey, fingerprint_of
from app.http.pagination import Page, encode_cursor
from app.http.problems import Forbidden, NotFound
from app.runtime.ids import new_id
from app.workers import queries
from processing_context.wire.workers import WorkerCreate

_KNOWN = 10_000


class WorkerNotFound(NotFound):
    """No such worker, or not the caller's."""

    code = "worker_not_found"
    detail = "There is no such worker: register again."


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a worker can run; `node_types` None: any."""

    capabilities: frozenset[str]
    node_types: frozenset[str] | None

    def fit(self, capabilities: Iterable[str], node_types: Iterable[str]) -> bool:
        """Whether it can run a job that needs these."""
        return self.capabilities.issuperset(capabilities) and (
            self.node_types is None or self.node_types.issuperset(node_types)
        )


@dataclass(frozen=True, slots=True)
class Claimant:
    """A worker that asks for jobs; `owner_id` None: it takes everybody's."""

    id: str
    owner_id: str | None
    abilities: Abilities
    is_draining: bool


def _abilities(row: asyncpg.Record) -> Abilities:
    types = row["node_types"]
    return Abilities(frozenset(row["capabilities"]), None if types is None else frozenset(types))


class Workers:
    """The workers that this replica and the others hear of."""

    def __init__(self, db: Database, *, lease_ttl_s: float) -> None:
        self._db = db
        self.lost_after_s = 2 * lease_ttl_s
        self._seen: set[str] = set()
        self._known: dict[str, asyncpg.Record] = {}

    async def register(
        self, principal: Principal, request: WorkerCreate, once: IdempotencyKey
    ) -> tuple[str, bool]:
        """Add a worker that the caller's token alone speaks for; returns its id.

        Also returns whether an earlier request with the same Idempotency-Key had made it.
        """
        made = await once.begin(fingerprint_of(request))
        if made is not None:
            return made, True
        worker_id = new_id()
        async with self._db.transaction() as connection:
            await queries.insert(
                connection,
                worker_id,
                principal.user_id,
                principal.token_id,
                "fleet" in principal.scopes,
                request.name,
                sorted(set(request.capabilities)),
                None if request.node_types is None else sorted(set(request.node_types)),
                request.slots,
                request.metadata,
            )
            await once.complete(connection, worker_id)
        return worker_id, False

    async def page(self, user_id: str, page: Page) -> tuple[Sequence[asyncpg.Record], str | None]:
        """Return a page of a user's workers and the next cursor."""
        rows = await queries.newest(
            self._db.pool,
            lost_after_s=self.lost_after_s,
            user_id=user_id,
            after=page.after,
            limit=page.size + 1,
        )
        if len(rows) <= page.size:
            return rows, None
        return rows[: page.size], encode_cursor(rows[page.size - 1]["id"])

    async def heartbeat(
        self, worker_id: str, principal: Principal, *, draining: bool | None
    ) -> asyncpg.Record:
        """Note that a worker is there; returns it.

        Raises:
            WorkerNotFound: It was deleted or forgotten, or is another user's.
            Forbidden: Another token registered it.
        """
        async with self._db.transaction() as connection:
            _check(await queries.hold(connection, worker_id), principal)
            await queries.beat(connection, worker_id, draining=draining)
            row = await queries.get(connection, worker_id, lost_after_s=self.lost_after_s)
        if row is None:
            raise WorkerNotFound
        return row

    async def claimant(self, worker_id: str, principal: Principal) -> Claimant:
        """Return a worker that asks for jobs; it may have been removed since it was looked up.

        What it can run never changes, so it is looked up once at each replica.

        Raises:
            WorkerNotFound: It was deleted or forgotten, or is another user's.
            Forbidden: Another token registered it.
        """
        row = self._known.get(worker_id)
        if row is None:
            row = _check(await queries.find(self._db.pool, worker_id), principal)
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[worker_id] = row
        _check(row, principal)
        return Claimant(
            id=worker_id,
            owner_id=None if row["is_fleet"] else row["user_id"],
            abilities=_abilities(row),
            is_draining=row["is_draining"],
        )

    def forget(self, worker_id: str) -> None:
        """Look a worker up again when it next asks."""
        self._known.pop(worker_id, None)

    async def remove(self, connection: Connection, worker_id: str, principal: Principal) -> None:
        """Delete a worker; its leases are the caller's to give back.

        Raises:
            WorkerNotFound: It is not there, or is another user's.
            Forbidden: Another token registered it.
        """
        _check(await queries.lock(connection, worker_id), principal)
        await queries.delete(connection, worker_id)

    async def active(self, user_id: str) -> list[Abilities]:
        """Return what the workers that take a user's jobs can run."""
        rows = await queries.active(self._db.pool, user_id=user_id, lost_after_s=self.lost_after_s)
        return [_abilities(row) for row in rows]

    def saw(self, worker_id: str) -> None:
        """Note that a worker spoke; written down soon, for many at once."""
        self._seen.add(worker_id)

    async def write_down_seen(self) -> None:
        """Write down who spoke."""
        if self._seen:
            seen, self._seen = self._seen, set()
            await queries.seen(self._db.pool, list(seen))

    async def forget_lost(self) -> None:
        """Remove workers that were not heard of for a day."""
        await queries.forget_lost(self._db.pool)


def _check(row: asyncpg.Record | None, principal: Principal) -> asyncpg.Record:
    if row is None or row["user_id"] != principal.user_id:
        raise WorkerNotFound
    if row["token_id"] != principal.token_id:
        raise Forbidden("Only the token that registered this worker may speak for it.")
    return row
