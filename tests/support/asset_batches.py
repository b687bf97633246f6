"""Batches of assets for tests: their forms, and what became of their items."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson

from app.database.statement import Connection
from app.settings import Settings
from app.users.bootstrap import open_database
from tests.support.services import eventually

WAITS = """
select exists (
  select from pg_stat_activity
  where datname = current_database() and wait_event_type = 'Lock'
    and query ilike '%insert into assets%')"""
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def item(content: bytes, *, key: str | None = None, **draft: Any) -> dict[str, Any]:
    """Return one item of a batch."""
    return {"asset": {"name": "a", **draft}, "size": len(content), "idempotency_key": key}


def batch(items: list[dict[str, Any]], content: bytes) -> dict[str, Any]:
    """Return httpx's arguments for a batch."""
    described = orjson.dumps({"assets": items})
    parts = [("json", (None, described, "application/json")), ("file", ("file", content))]
    return {"files": parts}


async def post(
    http: httpx.AsyncClient, items: list[dict[str, Any]], *contents: bytes
) -> list[dict[str, Any]]:
    """Send a batch; return its results."""
    reply = await http.post("/v1/assets/batch", **batch(items, b"".join(contents)))
    assert reply.status_code == 200, reply.text
    results: list[dict[str, Any]] = reply.json()["results"]
    assert len(results) == len(items)
    return results


@asynccontextmanager
async def held_before_the_rows(settings: Settings) -> AsyncIterator[Connection]:
    """Let no row of an asset be made until the block ends."""
    async with open_database(settings) as db, db.transaction() as on:
        await on.execute("lock table assets in share row exclusive mode")
        yield on


async def until_rows_wait(settings: Settings) -> None:
    """Wait until a request has stored its bytes and waits to insert their rows."""
    async with open_database(settings) as db:

        async def is_waiting() -> bool:
            found: bool = await db.pool.fetchval(WAITS)
            return found

        await eventually(is_waiting)


def codes(results: list[dict[str, Any]]) -> list[str | None]:
    """Return why there is no asset, for each item."""
    assert all((result["asset"] is None) != (result["problem"] is None) for result in results)
    return [result["problem"] and result["problem"]["code"] for result in results]
