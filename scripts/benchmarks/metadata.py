"""Benchmarks of metadata with a million assets: pages of a list, and URLs in batches."""

from __future__ import annotations

import time
from typing import Any

import asyncpg
import httpx

from app.database.engine import connect_args
from app.http.pagination import encode_cursor
from scripts.benchmarks.stack import Stack
from scripts.benchmarks.table import Row, in_turn

MANY = 1_000_000
PAGE = 100
FAR = 5_000
BATCH = 1_000
URLS_A_SECOND = 20_000

_FILL = """
insert into assets (id, user_id, name, search_name, content_type, size, status, metadata, version)
select lpad(to_hex(n), 32, '0'), $1, 'n', 'n', 'a/b', 1, 'ready', '{}', lpad(to_hex(n), 32, '0')
from generate_series(1, $2::int) as n"""
_COUNTED = "select sum(bytes)::bigint from asset_bytes where user_id = $1"


async def rows(stack: Stack, rounds: int) -> list[Row]:
    """Measure pages and batches over a million assets of one user."""
    async with httpx.AsyncClient(base_url=stack.url, headers=stack.headers, timeout=60) as api:
        user_id = (await api.get("/v1/me")).raise_for_status().json()["user"]["id"]
        await _fill(stack.database_url, user_id)
        return [await _pages(api, rounds), await _batches(api, rounds)]


async def _fill(database_url: str, user_id: str) -> None:
    """Insert the assets in one statement, with the table's triggers."""
    database = await asyncpg.connect(**connect_args(database_url))
    try:
        await database.execute(_FILL, user_id, MANY, timeout=900)
        await database.execute("vacuum analyze assets", timeout=600)
        counted = await database.fetchval(_COUNTED, user_id)
    finally:
        await database.close()
    if counted < MANY:
        raise RuntimeError(f"the triggers counted {counted} bytes instead of {MANY}")


async def _pages(api: httpx.AsyncClient, rounds: int) -> Row:
    # Assets created through the API have larger ids, and so come first.
    newest = MANY - (FAR - 1) * PAGE + await _others(api)
    far = {"page_size": PAGE, "cursor": encode_cursor(_id(newest + 1))}
    reply = await api.get("/v1/assets", params=far)
    if reply.raise_for_status().json()["assets"][0]["id"] != _id(newest):
        raise RuntimeError("the cursor returned another page")

    async def first() -> float:
        return await _seconds(api, {"page_size": PAGE})

    async def last() -> float:
        return await _seconds(api, far)

    figures = await in_turn(last, first, rounds=rounds * 5)
    return Row(
        f"page {FAR:,} of {PAGE} out of {MANY:,} assets / page 1 (less is better)",
        f"{figures[0] * 1000:.1f} ms",
        f"{figures[1] * 1000:.1f} ms",
        f"{figures[2]:.2f}",
    )


async def _others(api: httpx.AsyncClient) -> int:
    """Return the number of assets that come before the inserted ones."""
    page = (await api.get("/v1/assets", params={"page_size": PAGE})).raise_for_status().json()
    return sum(asset["id"] > _id(MANY) for asset in page["assets"])


def _id(number: int) -> str:
    return f"{number:032x}"


async def _seconds(api: httpx.AsyncClient, params: dict[str, Any]) -> float:
    started = time.perf_counter()
    reply = await api.get("/v1/assets", params=params)
    taken = time.perf_counter() - started
    if len(reply.raise_for_status().json()["assets"]) != PAGE:
        raise RuntimeError("the page is not full")
    return taken


async def _batches(api: httpx.AsyncClient, rounds: int) -> Row:
    ids = [_id(number) for number in range(1, BATCH + 1)]
    rates = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        reply = await api.post("/v1/urls", json={"asset_ids": ids})
        rates.append(BATCH / (time.perf_counter() - started))
        if len(reply.raise_for_status().json()["urls"]) != BATCH:
            raise RuntimeError("a URL is missing")
    rate = sorted(rates)[len(rates) // 2]
    return Row(
        f"URLs in batches of {BATCH:,} / the goal",
        f"{rate:.0f}/s",
        f"{URLS_A_SECOND}/s",
        f"{rate / URLS_A_SECOND:.2f}",
    )
