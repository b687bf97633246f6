"""Statements on tickets."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TypeAlias

import asyncpg

TTL_S = 30

_INSERT = f"""
insert into ws_tickets (hash, user_id, token_id, scopes, expires_at)
values ($1, $2, $3, $4, clock_timestamp() + interval '{TTL_S} s')
returning expires_at"""
_USE = """
delete from ws_tickets where hash = $1
returning user_id, token_id, scopes, expires_at > clock_timestamp() as is_valid"""
_PURGE = "delete from ws_tickets where expires_at < clock_timestamp()"

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


async def insert(
    pool: Pool, ticket_hash: bytes, user_id: str, token_id: str, scopes: Collection[str]
) -> datetime:
    """Store a ticket; returns when it expires."""
    expires_at: datetime = await pool.fetchval(
        _INSERT, ticket_hash, user_id, token_id, list(scopes)
    )
    return expires_at


async def use(pool: Pool, ticket_hash: bytes) -> asyncpg.Record | None:
    """Use a ticket up; None where there is none."""
    row: asyncpg.Record | None = await pool.fetchrow(_USE, ticket_hash)
    return row


async def purge(pool: Pool) -> None:
    """Remove tickets that nobody used."""
    await pool.execute(_PURGE)
