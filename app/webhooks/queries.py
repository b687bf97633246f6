"""Statements on deliveries, by asyncpg."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

import asyncpg

from app.database.statement import Connection

On: TypeAlias = "Connection | asyncpg.Pool[asyncpg.Record]"

SHOWN = """
id, job_id, type, url, status, attempts, next_attempt_at, created_at,
last_attempt_at, last_status_code, last_body, last_error"""

_INSERT = """
insert into webhook_deliveries
    (id, user_id, job_id, type, url, receiver, secret, body, created_at, next_attempt_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)"""
# From receiver to receiver by the index, however many wait for one of them; then the first few of
# each. `now()`, since the index is not used with the clock.
_DUE = """
with recursive receivers (user_id, receiver, place) as (
    (select user_id, receiver, 1 from webhook_deliveries
     where next_attempt_at is not null and (user_id, receiver) > ($1, $2)
     order by user_id, receiver limit 1)
    union all
    select following.user_id, following.receiver, r.place + 1
    from receivers r, lateral (
        select user_id, receiver from webhook_deliveries
        where next_attempt_at is not null and (user_id, receiver) > (r.user_id, r.receiver)
        order by user_id, receiver limit 1
    ) following
    where r.place < $3
)
select r.user_id, r.receiver, r.place, due.id
from receivers r left join lateral (
    select id, row_number() over (order by next_attempt_at) as nth from webhook_deliveries d
    where d.user_id = r.user_id and d.receiver = r.receiver and next_attempt_at <= now()
    order by next_attempt_at limit $4
) due on true
order by due.nth, r.place"""
_CLAIM = """
update webhook_deliveries d
set attempts = attempts + 1, next_attempt_at = clock_timestamp() + $2::interval
from (
    select id from webhook_deliveries where id = any($1) and next_attempt_at <= now()
    for update skip locked
) due
where d.id = due.id
returning d.id, user_id, receiver, url, secret, body, attempts, attempts_before,
    clock_timestamp() as now"""
_SETTLE = """
update webhook_deliveries
set status = $3, next_attempt_at = clock_timestamp() + $4::interval,
    last_attempt_at = $5, last_status_code = $6, last_body = $7, last_error = $8
where id = $1 and attempts = $2 and status = 'pending'"""
_OF_JOB = f"""
select {SHOWN} from webhook_deliveries where job_id = $1 and user_id = $2 order by id desc"""
_REDELIVER = f"""
update webhook_deliveries
set status = 'pending', attempts_before = attempts, next_attempt_at = clock_timestamp()
where id = $1 and job_id = $2 and user_id = $3
returning {SHOWN}"""


async def insert(
    on: On,
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
    """Store a message that is due at once."""
    await on.execute(_INSERT, delivery_id, user_id, job_id, type_, url, receiver, secret, body, now)


async def due(on: On, after: tuple[str, str], *, receivers: int, each: int) -> list[asyncpg.Record]:
    """The receivers that come after one, each with its first few that are due.

    Every receiver's first comes before any receiver's second. `place` counts the receivers; `id` is
    null where nothing is due.
    """
    rows: list[asyncpg.Record] = await on.fetch(_DUE, *after, receivers, each)
    return rows


async def claim(on: On, ids: Sequence[str], lease: timedelta) -> list[asyncpg.Record]:
    """Begin an attempt of those that are still due and that nobody else claims now."""
    rows: list[asyncpg.Record] = await on.fetch(_CLAIM, ids, lease)
    return rows


async def settle(
    on: On,
    delivery_id: str,
    attempt: int,
    *,
    status: str,
    pause: timedelta | None,
    attempted_at: datetime,
    status_code: int | None,
    body: str | None,
    error: str | None,
) -> None:
    """Write down what came of an attempt, unless another one has begun since."""
    await on.execute(
        _SETTLE, delivery_id, attempt, status, pause, attempted_at, status_code, body, error
    )


async def of_job(on: On, job_id: str, *, user_id: str) -> list[asyncpg.Record]:
    """The deliveries of a job of a user, newest first."""
    rows: list[asyncpg.Record] = await on.fetch(_OF_JOB, job_id, user_id)
    return rows


async def redeliver(
    on: On, delivery_id: str, *, job_id: str, user_id: str
) -> asyncpg.Record | None:
    """Make a delivery due now, with all its attempts before it again."""
    row: asyncpg.Record | None = await on.fetchrow(_REDELIVER, delivery_id, job_id, user_id)
    return row
