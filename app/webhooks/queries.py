"""Statements on webhook deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from app.database.id_sql import first_id_at
from app.database.statement import Executor, Query, Scalar, Statement


class DeliveryRecord(NamedTuple):
    """A delivery with its status, for its owner."""

    id: str
    job_id: str
    type: str
    url: str
    status: str
    attempts: int
    next_attempt_at: datetime | None
    created_at: datetime
    last_attempt_at: datetime | None
    last_status_code: int | None
    last_body: str | None
    last_error: str | None


class DueRecord(NamedTuple):
    """A receiver and one of its due deliveries, without an `id` if no delivery is due.

    `place` is the position of the receiver in the result, from 1.
    """

    user_id: str
    receiver: str
    place: int
    id: str | None


class AttemptRecord(NamedTuple):
    """A claimed delivery; `now` is the time of the claim by PostgreSQL's clock."""

    id: str
    user_id: str
    receiver: str
    url: str
    secret: str | None
    body: str
    attempts: int
    attempts_before: int
    now: datetime


_COLUMNS = """
id, job_id, type, url, status, attempts, next_attempt_at, created_at, last_attempt_at,
last_status_code, last_body, last_error"""

_INSERT = Statement(
    """
insert into webhook_deliveries
    (id, user_id, job_id, type, url, receiver, secret, body, created_at, next_attempt_at)
values (:id, :user_id, :job_id, :type, :url, :receiver, :secret, :body, :now, :now)"""
)
# An index scan skips from receiver to receiver, regardless of the number of their deliveries; then
# the first few of each are read. `now()`, since `clock_timestamp()` would prevent the index scan.
_DUE = Query(
    """
with recursive receivers (user_id, receiver, place) as (
    (select user_id, receiver, 1 from webhook_deliveries
     where next_attempt_at is not null and (user_id, receiver) > (:after_user_id, :after_receiver)
     order by user_id, receiver limit 1)
    union all
    select following.user_id, following.receiver, r.place + 1
    from receivers r, lateral (
        select user_id, receiver from webhook_deliveries
        where next_attempt_at is not null and (user_id, receiver) > (r.user_id, r.receiver)
        order by user_id, receiver limit 1
    ) following
    where r.place < :receivers
)
select r.user_id, r.receiver, r.place, due.id
from receivers r left join lateral (
    select id, row_number() over (order by next_attempt_at) as nth from webhook_deliveries d
    where d.user_id = r.user_id and d.receiver = r.receiver and next_attempt_at <= now()
    order by next_attempt_at limit :each
) due on true
order by due.nth, r.place""",
    DueRecord,
)
_CLAIM = Query(
    """
update webhook_deliveries d
set attempts = attempts + 1, next_attempt_at = clock_timestamp() + :lease::interval
from (
    select id from webhook_deliveries
    where id = any(:ids)
        -- In a form that does not match the partial index: the ids are better.
        and coalesce(next_attempt_at, 'infinity') <= now()
    for update skip locked
) due
where d.id = due.id
returning d.id, user_id, receiver, url, secret, body, attempts, attempts_before,
    clock_timestamp() as now""",
    AttemptRecord,
)
_SETTLE = Statement(
    """
update webhook_deliveries
set status = :status, next_attempt_at = clock_timestamp() + :back_off::interval,
    last_attempt_at = :attempted_at, last_status_code = :status_code, last_body = :body,
    last_error = :error
where id = :id and attempts = :attempt and status = 'pending'"""
)
_OF_JOB = Query(
    f"""
select {_COLUMNS} from webhook_deliveries
where job_id = :job_id and user_id = :user_id order by id desc""",
    DeliveryRecord,
)
_REDELIVER = Query(
    f"""
update webhook_deliveries
set status = 'pending', attempts_before = attempts, next_attempt_at = clock_timestamp()
where id = :id and job_id = :job_id and user_id = :user_id
returning {_COLUMNS}""",
    DeliveryRecord,
)
_OLD = f"""
from webhook_deliveries
where id < {first_id_at("now() - :older_than::interval")}
  and next_attempt_at is null"""
_COUNT_OLD = Scalar(f"select count(*) {_OLD}", int)
_DELETE_OLD = Statement(
    f"delete from webhook_deliveries where id in (select id {_OLD} order by id limit :limit)"
)


async def insert(
    on: Executor,
    delivery_id: str,
    *,
    user_id: str,
    job_id: str,
    type_: str,
    url: str,
    receiver: str,
    secret: str | None,
    body: str,
    now: datetime,
) -> None:
    """Insert a delivery that is due at once."""
    await _INSERT.execute(
        on,
        id=delivery_id,
        user_id=user_id,
        job_id=job_id,
        type=type_,
        url=url,
        receiver=receiver,
        secret=secret,
        body=body,
        now=now,
    )


async def due(
    on: Executor, *, after: tuple[str, str], receivers: int, each: int
) -> list[DueRecord]:
    """Return the receivers after `after`, each with its first due deliveries.

    The first deliveries of all receivers precede the second ones.

    Args:
        on: The connection.
        after: The user and the receiver after which the result begins.
        receivers: The maximum number of receivers.
        each: The maximum number of deliveries of one receiver.
    """
    return await _DUE.all(
        on, after_user_id=after[0], after_receiver=after[1], receivers=receivers, each=each
    )


async def claim(on: Executor, ids: Sequence[str], *, lease: timedelta) -> list[AttemptRecord]:
    """Begin an attempt of the deliveries that are still due and not claimed by another replica."""
    return await _CLAIM.all(on, ids=ids, lease=lease)


async def settle(
    on: Executor,
    delivery_id: str,
    *,
    attempt: int,
    status: str,
    back_off: timedelta | None,
    attempted_at: datetime,
    status_code: int | None,
    body: str | None,
    error: str | None,
) -> None:
    """Store the outcome of an attempt, unless a later attempt has begun."""
    await _SETTLE.execute(
        on,
        id=delivery_id,
        attempt=attempt,
        status=status,
        back_off=back_off,
        attempted_at=attempted_at,
        status_code=status_code,
        body=body,
        error=error,
    )


async def of_job(on: Executor, job_id: str, *, user_id: str) -> list[DeliveryRecord]:
    """Return the deliveries of a user's job, newest first."""
    return await _OF_JOB.all(on, job_id=job_id, user_id=user_id)


async def redeliver(
    on: Executor, delivery_id: str, *, job_id: str, user_id: str
) -> DeliveryRecord | None:
    """Make a delivery due now, with all attempts of a new one."""
    return await _REDELIVER.one(on, id=delivery_id, job_id=job_id, user_id=user_id)


async def count_old(on: Executor, older_than: timedelta) -> int:
    """Return the number of finished deliveries that are older than `older_than`."""
    return await _COUNT_OLD.value(on, older_than=older_than) or 0


async def delete_old(on: Executor, older_than: timedelta, *, limit: int) -> int:
    """Delete finished deliveries that are older than `older_than`; return the number."""
    return await _DELETE_OLD.execute(on, older_than=older_than, limit=limit)
