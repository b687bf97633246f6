"""Statements on temporary files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from app.database.statement import Connection, Executor, Query, Scalar, Statement


class TempRecord(NamedTuple):
    """Row of a temporary file; `size` is only declared until `is_stored` is true."""

    id: str
    job_id: str | None
    content_type: str
    size: int | None
    is_stored: bool
    expires_at: datetime
    is_expired: bool


class NewTemp(NamedTuple):
    """File to insert; `put_ttl` is the validity of a presigned URL to put the bytes."""

    id: str
    user_id: str
    job_id: str | None
    content_type: str
    size: int | None
    is_stored: bool
    ttl: timedelta
    put_ttl: timedelta | None = None


class DeletedTemp(NamedTuple):
    """Deleted file; `put_until` is the expiry of the presigned URL to put its object."""

    id: str
    size: int | None
    put_until: datetime | None


class JobFile(NamedTuple):
    """File that was created with the token of a job."""

    id: str
    job_id: str


_COLUMNS = (
    "id, job_id, content_type, size, is_stored, expires_at, expires_at <= now() as is_expired"
)
_GET = Query(
    f"select {_COLUMNS} from temp_files where id = :temp_id and user_id = :user_id", TempRecord
)
_GET_STORED = Query(
    f"""
select {_COLUMNS} from temp_files
where id = any(:ids) and user_id = :user_id and is_stored
  and (expires_at > now() or job_id is not null)""",
    TempRecord,
)
_INSERT = Query(
    f"""
insert into temp_files
    (id, user_id, job_id, content_type, size, is_stored, put_until, expires_at)
values (:id, :user_id, :job_id, :content_type, :size, :is_stored, now() + :put_ttl::interval,
    now() + :ttl::interval)
returning {_COLUMNS}""",
    TempRecord,
)
_MARK_STORED = Query(
    f"""
update temp_files set size = :size, is_stored = true where id = :temp_id returning {_COLUMNS}""",
    TempRecord,
)
_DELETE = Query(
    """
delete from temp_files where id = :temp_id and user_id = :user_id
returning id, size, put_until""",
    DeletedTemp,
)
_DELETE_ALL = Query(
    "delete from temp_files where id = any(:ids) returning id, size, put_until", DeletedTemp
)
_DELETE_EXPIRED = Query(
    """
delete from temp_files where id = any(:ids) and expires_at <= now()
returning id, size, put_until""",
    DeletedTemp,
)
_COUNT_EXPIRED = Scalar("select count(*) from temp_files where expires_at <= now()", int)
_EXPIRED = Scalar(
    "select id from temp_files where expires_at <= now() order by expires_at limit :limit", str
)
_OF_USER = Scalar("select id from temp_files where user_id = :user_id limit :limit", str)
_OF_JOBS = Query(
    """
select id, job_id from temp_files
where job_id is not null and id > :after and expires_at < now() + :margin::interval
order by id limit :limit""",
    JobFile,
)
_JOBS = """
(select id, coalesce(ended_at, now()) + :ttl::interval as keep_until
 from unnest(:job_ids::text[], :ends::timestamptz[]) as ended (id, ended_at)) as job"""
_EXPIRES_EARLIER = """
file.job_id = job.id and file.id = any(:ids) and file.expires_at < job.keep_until"""
_COUNT_EXTENSIONS = Scalar(
    f"select count(*) from temp_files file, {_JOBS} where {_EXPIRES_EARLIER}", int
)
_EXTEND = Statement(
    f"""
update temp_files file set expires_at = job.keep_until from {_JOBS} where {_EXPIRES_EARLIER}"""
)
_USED = Scalar(
    """
select coalesce(sum(size), 0)::bigint from temp_files
where user_id = :user_id and expires_at > now()""",
    int,
)
_UNDECLARED = Scalar(
    """
select id from temp_files
where user_id = :user_id and not is_stored and size is null and put_until > now() limit :limit""",
    str,
)
_KNOWN = Scalar("select id from temp_files where id = any(:ids)", str)
_STORED = Scalar(
    """
select id from temp_files
where id > :after and id <= coalesce(:last, 'g') and is_stored
  and created_at < now() - :older_than::interval and expires_at > now()
order by id limit :limit""",
    str,
)


async def get(on: Executor, temp_id: str, *, user_id: str) -> TempRecord | None:
    """Return a file of a user."""
    return await _GET.one(on, temp_id=temp_id, user_id=user_id)


async def get_stored(on: Executor, ids: Sequence[str], *, user_id: str) -> list[TempRecord]:
    """Return the stored files of a user among the ids; of expired files, only those of jobs."""
    return await _GET_STORED.all(on, ids=ids, user_id=user_id)


async def insert(on: Connection, file: NewTemp) -> TempRecord:
    """Insert a file."""
    return await _INSERT.only(on, **file._asdict())


async def mark_stored(on: Executor, temp_id: str, *, size: int) -> TempRecord | None:
    """Record that the object of a file exists; return None if the file was deleted."""
    return await _MARK_STORED.one(on, temp_id=temp_id, size=size)


async def delete(on: Connection, temp_id: str, *, user_id: str) -> DeletedTemp | None:
    """Delete a file of a user; return None if it does not exist."""
    return await _DELETE.one(on, temp_id=temp_id, user_id=user_id)


async def delete_all(on: Connection, ids: Sequence[str]) -> list[DeletedTemp]:
    """Delete files."""
    return await _DELETE_ALL.all(on, ids=ids)


async def delete_expired(on: Connection, ids: Sequence[str]) -> list[DeletedTemp]:
    """Delete the expired files among the ids."""
    return await _DELETE_EXPIRED.all(on, ids=ids)


async def count_expired(on: Executor) -> int:
    """Return the number of expired files."""
    return await _COUNT_EXPIRED.value(on) or 0


async def expired(on: Executor, *, limit: int) -> list[str]:
    """Return the ids of expired files, in the order of their expiry."""
    return await _EXPIRED.values(on, limit=limit)


async def of_user(on: Executor, user_id: str, *, limit: int) -> list[str]:
    """Return the ids of at most `limit` files of a user."""
    return await _OF_USER.values(on, user_id=user_id, limit=limit)


async def of_jobs(on: Executor, *, after: str, margin: timedelta, limit: int) -> list[JobFile]:
    """Return files of jobs that expire within `margin`, in the order of ids."""
    return await _OF_JOBS.all(on, after=after, margin=margin, limit=limit)


async def count_extensions(
    on: Executor, ids: Sequence[str], ends: Mapping[str, datetime | None], *, ttl: timedelta
) -> int:
    """Return the number of files whose expiry `extend` would change."""
    return await _COUNT_EXTENSIONS.value(on, ids=ids, ttl=ttl, **_jobs(ends)) or 0


async def extend(
    on: Executor, ids: Sequence[str], ends: Mapping[str, datetime | None], *, ttl: timedelta
) -> int:
    """Extend the expiry of files to `ttl` after the end of their jobs; return their number.

    Args:
        on: The database.
        ids: The ids of the files.
        ends: The times at which the jobs ended; None for unfinished jobs, which count as now.
        ttl: The lifetime of files after the end of their job.
    """
    return await _EXTEND.execute(on, ids=ids, ttl=ttl, **_jobs(ends))


def _jobs(ends: Mapping[str, datetime | None]) -> dict[str, Any]:
    return {"job_ids": list(ends), "ends": list(ends.values())}


async def used(on: Executor, user_id: str) -> int:
    """Return the bytes of a user's files, of those that are not stored by their declared size."""
    return await _USED.value(on, user_id=user_id) or 0


async def undeclared(on: Executor, user_id: str, *, limit: int) -> list[str]:
    """Return the ids of a user's open uploads whose size was not declared."""
    return await _UNDECLARED.values(on, user_id=user_id, limit=limit)


async def known(on: Executor, ids: Collection[str]) -> list[str]:
    """Return the ids that have a row."""
    return await _KNOWN.values(on, ids=list(ids))


async def stored(
    on: Executor, *, after: str, last: str | None, older_than: timedelta, limit: int
) -> list[str]:
    """Return the ids of files whose objects must exist; a `KeyListing`."""
    return await _STORED.values(on, after=after, last=last, older_than=older_than, limit=limit)
