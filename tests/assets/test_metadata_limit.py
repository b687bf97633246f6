"""Tests of the limit for the metadata of assets, and of lists with large metadata."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.assets import form, make_asset
from tests.support.loop_watcher import MOST_LARGE_JSON_S, watched_loop
from tests.support.services import Service, User

LIMIT = 64 * 1024
MIB = 1024 * 1024


def of_size(size: int) -> dict[str, str]:
    """Return metadata that have this size as JSON."""
    return {"a": "x" * (size - len('{"a":""}'))}


async def create(user: User, route: str, metadata: dict[str, Any]) -> httpx.Response:
    """Create an asset on one of the routes."""
    draft: dict[str, Any] = {"name": "n", "content_type": "text/plain", "metadata": metadata}
    if route == "upload":
        return await user.http.post("/v1/assets/uploads", json={**draft, "size": 1})
    if route == "folder":
        return await user.http.post("/v1/assets", **form(None, **draft | {"content_type": route}))
    return await user.http.post("/v1/assets", **form(b"x", **draft))


@pytest.mark.parametrize("route", ["upload", "folder", "form"])
async def test_metadata_are_limited_on_creation(user: User, route: str) -> None:
    assert (await create(user, route, of_size(LIMIT))).status_code == 201
    refused = await create(user, route, of_size(LIMIT + 1))
    assert (refused.status_code, refused.json()["code"]) == (413, "metadata_too_large")


async def test_metadata_of_a_batch_are_limited_item_by_item(user: User) -> None:
    items = [
        {"asset": {"name": "n", "metadata": of_size(size)}, "size": 1}
        for size in (LIMIT, LIMIT + 1)
    ]
    reply = await user.http.post("/v1/assets/batch", **form(b"xy", assets=items))
    first, second = reply.json()["results"]
    assert first["asset"]
    assert (second["problem"]["status"], second["problem"]["code"]) == (413, "metadata_too_large")


async def test_larger_metadata_of_earlier_releases_can_be_read_and_kept(
    service: Service, user: User
) -> None:
    made = await make_asset(user, name="old")
    path = f"/v1/assets/{made.id}"
    large = of_size(2 * LIMIT)
    statement = "update assets set metadata = $1 where id = $2"
    await service.run(service.db.pool.execute(statement, large, made.id))
    assert (await user.http.get(path)).json()["metadata"] == large
    for change in ({"name": "new"}, {"name": "newer", "metadata": large}):
        changed = await user.http.patch(path, json=change)
        assert (changed.status_code, changed.json()["metadata"]) == (200, large)
    refused = await user.http.patch(path, json={"metadata": {**large, "b": 1}})
    assert (refused.status_code, refused.json()["code"]) == (413, "metadata_too_large")


async def test_a_page_of_large_metadata_ends_early_and_does_not_hold_the_loop(
    service: Service, user: User
) -> None:
    ids = [(await make_asset(user, name=f"{number}")).id for number in range(12)]
    large = of_size(3 * MIB)
    statement = "update assets set metadata = $1 where user_id = $2"
    await service.run(service.db.pool.execute(statement, large, user.id))
    found: list[str] = []
    query: dict[str, Any] = {"page_size": 1000}
    async with watched_loop(service, most_s=MOST_LARGE_JSON_S):
        while True:
            reply = await user.http.get("/v1/assets", params=query)
            assert len(reply.content) < 8 * MIB
            page = reply.json()
            assert page["assets"]
            found += [asset["id"] for asset in page["assets"]]
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
    assert found == ids[::-1]


async def test_a_large_description_does_not_hold_the_loop(service: Service, user: User) -> None:
    """The reply comes after the whole description was parsed."""
    metadata = {str(number): [number] * 5 for number in range(40_000)}
    body = form(b"x", name="n", metadata=metadata)
    await user.http.post("/v1/assets", **form(b"x", name="n"))
    async with watched_loop(service):
        refused = await asyncio.wait_for(user.http.post("/v1/assets", **body), 120)
    assert (refused.status_code, refused.json()["code"]) == (413, "metadata_too_large")
