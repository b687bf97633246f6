"""Statements on workers."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from app.database.page_query import Listed, PageQuery
from app.database.statement import Connection, Executor, Query, Scalar, Statement


class WorkerRecord(NamedTuple):
    """A worker with its state and the ids of its running jobs."""

    id: str
    name: str
    capabilities: list[str]
    node_types: list[str] | None
    slots: int
    metadata: dict[str, Any]
    is_draining: bool
    is_lost: bool
    running_jobs: list[str]
    last_seen_at: datetime
    created_at: datetime


class RegistrationRecord(NamedTuple):
    """The owner and the token of a worker, and the jobs that it can run."""

    user_id: str
    token_id: str
    is_fleet: bool
    capabilities: list[str]
    node_types: list[str] | None
    is_draining: bool
    catalogue: str | None


class CatalogueRecord(NamedTuple):
    """The hash of the node descriptions of workers, and whose workers they are."""

    user_id: str
    is_fleet: bool
    catalogue: str


class CapabilitiesRecord(NamedTuple):
    """The capabilities and node types of a worker."""

    capabilities: list[str]
    node_types: list[str] | None


_COLUMNS = """
w.id, w.name, w.capabilities, w.node_types, w.slots, w.metadata, w.is_draining,
w.last_seen_at < clock_timestamp() - :lost_after_s * interval '1 s' as is_lost,
array(select l.job_id from job_leases l where l.worker_id = w.id and l.ended_at is null
      order by l.job_id) as running_jobs,
w.last_seen_at, w.created_at"""
_REGISTRATION = """
select user_id, token_id, is_fleet, capabilities, node_types, is_draining, catalogue
from workers where id = :worker_id"""

_INSERT = Statement(
    """
insert into workers
    (id, user_id, token_id, is_fleet, name, capabilities, node_types, slots, metadata, catalogue)
values
    (:id, :user_id, :token_id, :is_fleet, :name, :capabilities, :node_types, :slots, :metadata,
     :catalogue)"""
)


def _page_where(condition: str) -> PageQuery[WorkerRecord]:
    return PageQuery(
        WorkerRecord,
        columns=_COLUMNS,
        table="workers w",
        key="w.id",
        size="""
octet_length(w.metadata::text) + octet_length(array_to_string(w.capabilities, ','))
+ coalesce(octet_length(array_to_string(w.node_types, ',')), 0)""",
        where=f"{condition} w.id < coalesce(:after, 'g')",
    )


_PAGE_OF_USER = _page_where("w.user_id = :user_id and")
_PAGE_OF_ALL = _page_where("")
_COUNT = Scalar(
    "select count(*) from (select from workers where user_id = :user_id limit :limit) counted", int
)
_GET = Query(f"select {_COLUMNS} from workers w where w.id = :worker_id", WorkerRecord)
_FIND = Query(_REGISTRATION, RegistrationRecord)
_LOCK_SHARED = Query(f"{_REGISTRATION} for key share", RegistrationRecord)
_LOCK = Query(f"{_REGISTRATION} for update", RegistrationRecord)
_RECORD_HEARTBEAT = Statement(
    """
update workers
set last_seen_at = clock_timestamp(), is_draining = coalesce(:is_draining, is_draining)
where id = :worker_id"""
)
_MARK_SEEN = Statement(
    """
update workers w set last_seen_at = clock_timestamp()
from (select id from workers where id = any(:worker_ids) order by id for no key update) locked
where w.id = locked.id"""
)
_ACTIVE = Query(
    """
select distinct capabilities, node_types from workers
where (is_fleet or user_id = :user_id) and not is_draining
    and last_seen_at >= clock_timestamp() - :lost_after_s * interval '1 s'""",
    CapabilitiesRecord,
)
_CATALOGUES = Query(
    "select distinct user_id, is_fleet, catalogue from workers where catalogue is not null",
    CatalogueRecord,
)
_DELETE = Statement("delete from workers where id = :worker_id")
_TOKEN_IDS = Scalar("select distinct token_id from workers", str)
_DELETE_OF_TOKENS = Scalar(
    """
with locked as materialized (
    select id from workers where token_id = any(:token_ids) order by id for update
)
delete from workers w using locked where w.id = locked.id returning w.id""",
    str,
)
_IS_IDLE = "not exists (select from job_leases l where l.worker_id = w.id and l.ended_at is null)"
_DELETE_LOST = Statement(
    f"delete from workers w where w.last_seen_at < now() - interval '1 day' and {_IS_IDLE}"
)
_DELETE_OF_USER = Statement(
    f"""
delete from workers where id in (
  select id from workers w where user_id = :user_id and {_IS_IDLE} limit :limit)"""
)


async def insert(
    on: Executor,
    worker_id: str,
    *,
    user_id: str,
    token_id: str,
    is_fleet: bool,
    name: str,
    capabilities: list[str],
    node_types: list[str] | None,
    slots: int,
    metadata: dict[str, Any],
    catalogue: str | None,
) -> None:
    """Insert a worker."""
    await _INSERT.execute(
        on,
        id=worker_id,
        user_id=user_id,
        token_id=token_id,
        is_fleet=is_fleet,
        name=name,
        capabilities=capabilities,
        node_types=node_types,
        slots=slots,
        metadata=metadata,
        catalogue=catalogue,
    )


async def page(
    on: Executor, *, user_id: str | None, lost_after_s: float, after: str | None, size: int
) -> Listed[WorkerRecord]:
    """Return a user's workers (None: those of all users), newest first."""
    if user_id is None:
        return await _PAGE_OF_ALL.read(on, lost_after_s=lost_after_s, after=after, size=size)
    return await _PAGE_OF_USER.read(
        on, user_id=user_id, lost_after_s=lost_after_s, after=after, size=size
    )


async def count(on: Executor, user_id: str, limit: int) -> int:
    """Return the number of workers of a user, at most `limit`."""
    return await _COUNT.only(on, user_id=user_id, limit=limit)


async def get(on: Executor, worker_id: str, *, lost_after_s: float) -> WorkerRecord | None:
    """Return one worker."""
    return await _GET.one(on, worker_id=worker_id, lost_after_s=lost_after_s)


async def find(on: Executor, worker_id: str) -> RegistrationRecord | None:
    """Return the registration of a worker."""
    return await _FIND.one(on, worker_id=worker_id)


async def lock_shared(on: Connection, worker_id: str) -> RegistrationRecord | None:
    """Return a registration, locked against deletion until the end of the transaction."""
    return await _LOCK_SHARED.one(on, worker_id=worker_id)


async def lock(on: Connection, worker_id: str) -> RegistrationRecord | None:
    """Return a registration, locked so that no job is leased to the worker."""
    return await _LOCK.one(on, worker_id=worker_id)


async def record_heartbeat(on: Executor, worker_id: str, *, is_draining: bool | None) -> None:
    """Set `last_seen_at` to now and, if it is given, `is_draining`."""
    await _RECORD_HEARTBEAT.execute(on, worker_id=worker_id, is_draining=is_draining)


async def mark_seen(on: Executor, worker_ids: Collection[str]) -> None:
    """Set `last_seen_at` of workers to now; rows are locked by id, so that no deadlock occurs."""
    await _MARK_SEEN.execute(on, worker_ids=list(worker_ids))


async def active(on: Executor, *, user_id: str, lost_after_s: float) -> list[CapabilitiesRecord]:
    """Return the distinct capabilities of the active workers that run jobs of a user."""
    return await _ACTIVE.all(on, user_id=user_id, lost_after_s=lost_after_s)


async def catalogues(on: Executor) -> list[CatalogueRecord]:
    """Return the node catalogues of all workers."""
    return await _CATALOGUES.all(on)


async def delete(on: Executor, worker_id: str) -> None:
    """Delete a worker."""
    await _DELETE.execute(on, worker_id=worker_id)


async def token_ids(on: Executor) -> list[str]:
    """Return the ids of the tokens of all workers."""
    return await _TOKEN_IDS.values(on)


async def delete_of_tokens(on: Connection, token_ids: Collection[str]) -> list[str]:
    """Delete the workers that these tokens registered; return their ids."""
    return await _DELETE_OF_TOKENS.values(on, token_ids=list(token_ids))


async def delete_lost(on: Executor) -> None:
    """Delete workers that were not seen for a day and run no job."""
    await _DELETE_LOST.execute(on)


async def delete_of_user(on: Executor, user_id: str, *, limit: int) -> int:
    """Delete some of a user's workers that run no job; return how many."""
    return await _DELETE_OF_USER.execute(on, user_id=user_id, limit=limit)
