"""Statements on WebSocket tickets."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from app.database.statement import Executor, Query, Statement

TTL_S = 30


class ExpiryRecord(NamedTuple):
    """The expiry time of a ticket."""

    expires_at: datetime


class TicketRecord(NamedTuple):
    """The token of a ticket; `is_valid` is false if the ticket has expired."""

    user_id: str
    token_id: str
    scopes: list[str]
    is_valid: bool


_INSERT = Query(
    f"""
insert into ws_tickets (hash, user_id, token_id, scopes, expires_at)
values (:hash, :user_id, :token_id, :scopes, clock_timestamp() + interval '{TTL_S} s')
returning expires_at""",
    ExpiryRecord,
)
_TAKE = Query(
    """
delete from ws_tickets where hash = :hash
returning user_id, token_id, scopes, expires_at > clock_timestamp() as is_valid""",
    TicketRecord,
)
_DELETE_EXPIRED = Statement("delete from ws_tickets where expires_at < clock_timestamp()")


async def insert(
    on: Executor, ticket_hash: bytes, *, user_id: str, token_id: str, scopes: Collection[str]
) -> datetime:
    """Insert a ticket; return its expiry time."""
    row = await _INSERT.only(
        on, hash=ticket_hash, user_id=user_id, token_id=token_id, scopes=list(scopes)
    )
    return row.expires_at


async def take(on: Executor, ticket_hash: bytes) -> TicketRecord | None:
    """Delete a ticket and return it."""
    return await _TAKE.one(on, hash=ticket_hash)


async def delete_expired(on: Executor) -> None:
    """Delete tickets that have expired."""
    await _DELETE_EXPIRED.execute(on)
