"""Statements on the storage journal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from app.database.statement import Connection, Executor, Query, Scalar, Statement

PUT_TTL_S = 300
"""Time after which a `put` entry that is not renewed is due."""

DELETE_GRACE_S = 60
CLAIM_S = 300
CLAIM_COUNT = 500


class JournalEntry(NamedTuple):
    """Claimed journal entry; `op` is `delete` or `abort`."""

    bucket: str
    key: str
    op: str


# Committed without a flush: an entry lost in a crash of PostgreSQL costs an orphan, which the
# cleanup finds, but a flush would delay every upload.
_BEGIN = Statement(
    f"""
insert into storage_journal (bucket, key, op, due_at)
select :bucket, key, 'put', now() + interval '{PUT_TTL_S} s'
from set_config('synchronous_commit', 'off', true), unnest(:keys::text[]) as key"""
)
_PUT_ENTRIES = "where bucket = :bucket and key = any(:keys) and op = 'put'"
_RENEW = Statement(
    f"update storage_journal set due_at = now() + interval '{PUT_TTL_S} s' {_PUT_ENTRIES}"
)
_DISCARD = Scalar(
    f"update storage_journal set op = 'delete', due_at = now() {_PUT_ENTRIES} returning key", str
)
_FINISH = Scalar(f"delete from storage_journal {_PUT_ENTRIES} returning key", str)
_RETIRE = Statement(
    f"""
insert into storage_journal (bucket, key, op, due_at)
select :bucket, key, case when key = any(:unfinished::text[]) then 'abort' else 'delete' end,
  greatest(now(), put_until) + interval '{DELETE_GRACE_S} s'
from unnest(:keys::text[], :put_until::timestamptz[]) as retired (key, put_until)"""
)
_REMOVE = "delete from storage_journal where bucket = :bucket and key = any(:keys) and op <> 'put'"
_REMOVE_ALL = Statement(_REMOVE)
# An object whose presigned URL is still valid is deleted again after the expiry.
_REMOVE_FINAL = Statement(f"{_REMOVE} and due_at <= now() + interval '{DELETE_GRACE_S} s'")
_KNOWN = Scalar("select key from storage_journal where bucket = :bucket and key = any(:keys)", str)
_UPLOADING = Scalar(f"select key from storage_journal {_PUT_ENTRIES}", str)
_COUNT_DUE = Scalar("select count(*) from storage_journal where due_at < now()", int)
# A due put becomes a deletion, so that the transaction of the upload fails in `finish`.
_CLAIM_DUE = Query(
    f"""
update storage_journal set
  op = case op when 'put' then 'abort' else op end, due_at = now() + interval '{CLAIM_S} s'
where (bucket, key) in (
  select bucket, key from storage_journal where due_at < now()
  order by due_at limit {CLAIM_COUNT} for update skip locked)
returning bucket, key, op""",
    JournalEntry,
)


async def begin(on: Executor, bucket: str, keys: Sequence[str]) -> None:
    """Insert `put` entries."""
    await _BEGIN.execute(on, bucket=bucket, keys=keys)


async def renew(on: Executor, bucket: str, keys: Sequence[str]) -> None:
    """Postpone the due times of `put` entries."""
    await _RENEW.execute(on, bucket=bucket, keys=keys)


async def discard(on: Executor, bucket: str, keys: Sequence[str]) -> list[str]:
    """Change `put` entries to `delete` entries; return the keys that had a `put` entry."""
    return await _DISCARD.values(on, bucket=bucket, keys=keys)


async def finish(on: Connection, bucket: str, keys: Sequence[str]) -> list[str]:
    """Remove `put` entries; return the keys that had one."""
    return await _FINISH.values(on, bucket=bucket, keys=keys)


async def retire(
    on: Connection,
    bucket: str,
    keys: Sequence[str],
    *,
    put_until: Sequence[datetime | None],
    unfinished: Sequence[str],
) -> None:
    """Insert `delete` or `abort` entries.

    Args:
        on: The transaction.
        bucket: The name of the bucket in the journal.
        keys: The keys of the objects.
        put_until: The expiry of the last presigned URL to put each object.
        unfinished: The keys that have a multipart upload to abort.
    """
    await _RETIRE.execute(on, bucket=bucket, keys=keys, put_until=put_until, unfinished=unfinished)


async def remove(on: Executor, bucket: str, keys: Sequence[str]) -> None:
    """Remove `delete` and `abort` entries."""
    await _REMOVE_ALL.execute(on, bucket=bucket, keys=keys)


async def remove_final(on: Executor, bucket: str, keys: Sequence[str]) -> None:
    """Remove `delete` and `abort` entries, except of objects whose presigned URL is valid."""
    await _REMOVE_FINAL.execute(on, bucket=bucket, keys=keys)


async def known(on: Executor, bucket: str, keys: Collection[str]) -> list[str]:
    """Return the keys that have an entry."""
    return await _KNOWN.values(on, bucket=bucket, keys=list(keys))


async def uploading(on: Executor, bucket: str, keys: Collection[str]) -> list[str]:
    """Return the keys that have a `put` entry."""
    return await _UPLOADING.values(on, bucket=bucket, keys=list(keys))


async def count_due(on: Executor) -> int:
    """Return the number of due entries."""
    return await _COUNT_DUE.value(on) or 0


async def claim_due(on: Executor) -> list[JournalEntry]:
    """Claim and return due entries, at most `CLAIM_COUNT`, for `CLAIM_S` seconds."""
    return await _CLAIM_DUE.all(on)
