"""Statements on the storage journal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from app.database.statement import Connection, Executor, Query, Scalar, Statement

PUT_TTL_S = 300
"""How long an announced upload may go without a renewal."""

DELETE_GRACE_S = 60
CLAIM_S = 300
CLAIM_COUNT = 500


class JournalEntry(NamedTuple):
    """An entry that is due; `op` is `delete` or `abort`."""

    bucket: str
    key: str
    op: str


# Not flushed: lost to a crash of PostgreSQL it costs an orphan, while every upload would wait.
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
# An object that can be put again is deleted once more when its URL has expired.
_REMOVE_FINAL = Statement(f"{_REMOVE} and due_at <= now() + interval '{DELETE_GRACE_S} s'")
_KNOWN = Scalar("select key from storage_journal where bucket = :bucket and key = any(:keys)", str)
_UPLOADING = Scalar(f"select key from storage_journal {_PUT_ENTRIES}", str)
_COUNT_DUE = Scalar("select count(*) from storage_journal where due_at < now()", int)
# A put that fell due is turned into a deletion: its own transaction then finds its entry gone.
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
    """Insert entries of objects that are going to be put."""
    await _BEGIN.execute(on, bucket=bucket, keys=keys)


async def renew(on: Executor, bucket: str, keys: Sequence[str]) -> None:
    """Postpone when entries of objects that are being put fall due."""
    await _RENEW.execute(on, bucket=bucket, keys=keys)


async def discard(on: Executor, bucket: str, keys: Sequence[str]) -> list[str]:
    """Turn puts into deletions; return the keys whose puts were not finished."""
    return await _DISCARD.values(on, bucket=bucket, keys=keys)


async def finish(on: Connection, bucket: str, keys: Sequence[str]) -> list[str]:
    """Delete the entries of puts; return the keys that had not fallen due."""
    return await _FINISH.values(on, bucket=bucket, keys=keys)


async def retire(
    on: Connection,
    bucket: str,
    keys: Sequence[str],
    *,
    put_until: Sequence[datetime | None],
    unfinished: Sequence[str],
) -> None:
    """Insert entries of objects to delete.

    Args:
        on: The transaction.
        bucket: The bucket.
        keys: The objects.
        put_until: For each the expiry of the last URL to put it.
        unfinished: Those of the keys with a multipart upload to abort.
    """
    await _RETIRE.execute(on, bucket=bucket, keys=keys, put_until=put_until, unfinished=unfinished)


async def remove(on: Executor, bucket: str, keys: Sequence[str]) -> None:
    """Delete entries of deletions."""
    await _REMOVE_ALL.execute(on, bucket=bucket, keys=keys)


async def remove_final(on: Executor, bucket: str, keys: Sequence[str]) -> None:
    """Delete entries of deletions, except of objects that can be put again until later."""
    await _REMOVE_FINAL.execute(on, bucket=bucket, keys=keys)


async def known(on: Executor, bucket: str, keys: Collection[str]) -> list[str]:
    """Return those of the keys that have an entry."""
    return await _KNOWN.values(on, bucket=bucket, keys=list(keys))


async def uploading(on: Executor, bucket: str, keys: Collection[str]) -> list[str]:
    """Return those of the keys that are being put."""
    return await _UPLOADING.values(on, bucket=bucket, keys=list(keys))


async def count_due(on: Executor) -> int:
    """Return how many entries are due."""
    return await _COUNT_DUE.value(on) or 0


async def claim_due(on: Executor) -> list[JournalEntry]:
    """Return some entries that are due, claimed for some minutes."""
    return await _CLAIM_DUE.all(on)
