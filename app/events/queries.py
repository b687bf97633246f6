"""Statements on events and node states, by asyncpg: every batch and every reader runs them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias

import asyncpg

from app.database.statement import Connection
from app.runtime.ids import created_at

On: TypeAlias = "Connection | asyncpg.Pool[asyncpg.Record]"

CLOCK_MARGIN = timedelta(days=1)
"""By how much the clock that made a job's id may be ahead of PostgreSQL's, which dates events."""

_AFTER = """
select seq, body, is_end from (
    select seq, body, is_end,
        sum(octet_length(body)) over (order by seq) - octet_length(body) as bytes_before
    from (
        select seq, body, is_end from job_events
        where job_id = $1 and seq > $2 and time >= $3
        order by seq limit $4
    ) page
) sized
where bytes_before < $5 order by seq"""
_APPEND = """
insert into job_events (job_id, seq, time, is_end, body)
select job_id, seq, $5, is_end, body
from unnest($1::text[], $2::int[], $3::bool[], $4::text[]) as e(job_id, seq, is_end, body)"""
_NODES = """
select node_id, node_name, node_type, coalesce(status, 'running') as status, error, progress,
    total, result,
    seq, attempt, updated_at
from job_nodes where job_id = $1 order by seq, node_id"""
_NODES_OF = """
select job_id, node_id, node_name, node_type, coalesce(status, 'running') as status, error,
    progress, total,
    seq, attempt, updated_at
from job_nodes where job_id = any($1) order by seq, node_id"""
UPSERT_NODES = """
insert into job_nodes (job_id, node_id, node_name, node_type, status, error, progress, total,
    result, seq,
    attempt, updated_at)
select {job_id}, n.node_id, n.node_name, n.node_type, n.status, n.error, n.progress, n.total,
    n.result, {seq}, {attempt}, {now}
from {source}
on conflict (job_id, node_id) do update set
    node_name = coalesce(excluded.node_name, job_nodes.node_name),
    node_type = coalesce(excluded.node_type, job_nodes.node_type),
    status = coalesce(excluded.status, job_nodes.status),
    error = case when excluded.status is null then job_nodes.error else excluded.error end,
    result = case when excluded.status is null then job_nodes.result else excluded.result end,
    progress = coalesce(excluded.progress, job_nodes.progress),
    total = coalesce(excluded.total, job_nodes.total),
    seq = excluded.seq, attempt = excluded.attempt, updated_at = excluded.updated_at"""


def since(job_id: str) -> datetime:
    """Return a moment before a job's first event, so that older partitions are not looked at."""
    return created_at(job_id) - CLOCK_MARGIN


async def after(
    on: On, job_id: str, seq: int, *, limit: int, max_bytes: int
) -> list[asyncpg.Record]:
    """Events after `seq`: at most `limit`, and no more once there are `max_bytes`."""
    rows: list[asyncpg.Record] = await on.fetch(
        _AFTER, job_id, seq, since(job_id), limit, max_bytes
    )
    return rows


async def append(
    on: On,
    time: datetime,
    job_ids: list[str],
    seqs: list[int],
    ends: list[bool],
    bodies: list[str],
) -> None:
    """Store events, of one job or of many."""
    await on.execute(_APPEND, job_ids, seqs, ends, bodies, time)


async def nodes(on: On, job_id: str) -> list[asyncpg.Record]:
    """The nodes of a job, in the order in which they last spoke."""
    rows: list[asyncpg.Record] = await on.fetch(_NODES, job_id)
    return rows


async def nodes_of(on: On, job_ids: list[str]) -> list[asyncpg.Record]:
    """The nodes of several jobs, without their results."""
    rows: list[asyncpg.Record] = await on.fetch(_NODES_OF, job_ids)
    return rows


async def forget_nodes(on: On, job_id: str) -> None:
    """Remove the node states of an attempt that no longer counts."""
    await on.execute("delete from job_nodes where job_id = $1", job_id)


async def delete(on: On, job_id: str) -> None:
    """Remove all that is stored of a job's events."""
    await forget_nodes(on, job_id)
    await on.execute(
        "delete from job_events where job_id = $1 and time >= $2", job_id, since(job_id)
    )
