"""Tests of the creation of many small assets in one request."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from processing_context.wire.assets import MAX_BATCH, MAX_BATCH_BYTES, Asset
from tests.support.asset_batches import (
    PNG,
    batch,
    codes,
    held_before_the_rows,
    item,
    post,
    until_rows_wait,
)
from tests.support.assets import fetch, journal, keys, make_asset, make_folder, names
from tests.support.services import Service, User
from tests.support.sweeps import assert_nothing_lost_or_stray, execute


async def test_each_item_equals_an_asset_of_one_post(service: Service, user: User) -> None:
    folder = await make_folder(user)
    contents = [PNG, b"", b"plain"]
    items = [
        item(PNG, name="picture", metadata={"a": ["\u0000", 1.5]}),
        item(b"", name="empty", content_type="a/b"),
        item(b"plain", name="notes.md", parent_id=folder.id, node_id="n", workflow_id="0" * 32),
    ]
    results = await post(user.http, items, *contents)
    assert codes(results) == [None] * 3
    assert not any(result["is_replay"] for result in results)
    for each, content, result in zip(items, contents, results, strict=True):
        made = Asset.model_validate(result["asset"], strict=False)
        assert (made.name, made.status) == (each["asset"]["name"], "ready")
        assert (made.size, made.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert made.metadata == each["asset"].get("metadata", {})
        assert (await fetch(str(made.get_url))).content == content
        alone = (await user.http.get(f"/v1/assets/{made.id}")).json()
        assert alone | {"get_url": None} == result["asset"] | {"get_url": None}
    kinds = [result["asset"]["content_type"] for result in results]
    assert kinds == ["image/png", "a/b", "text/markdown"]
    inside = results[2]["asset"]
    assert (inside["parent_id"], inside["node_id"]) == (folder.id, "n")
    assert inside["workflow_id"] == "0" * 32
    assert await names(user, parent_id=folder.id) == ["notes.md"]
    await assert_nothing_lost_or_stray(service.settings)


async def test_a_problem_with_one_item_does_not_affect_the_others(
    service: Service, user: User, other: User
) -> None:
    theirs = await make_folder(other)
    no_folder = await make_asset(user)
    before = await keys(service)
    items = [
        item(b"0", key="0", parent_id="0" * 32),
        item(b"1", key="1", name="good"),
        item(b"2", key="2", parent_id=theirs.id),
        item(b"3", key="3", parent_id=no_folder.id),
        item(b"4", key="4", content_type="folder"),
        item(b"5", key="5", workflow_id="x"),
        item(b"6", key="6", name=None),
        item(b"7", name="good too"),
    ]
    results = await post(user.http, items, b"01234567")
    parent, wrong = "invalid_parent", "invalid_asset"
    assert codes(results) == [parent, None, parent, parent, wrong, wrong, wrong, None]
    problem = results[0]["problem"]
    assert (problem["status"], problem["instance"]) == (422, "/v1/assets/batch")
    assert problem["request_id"]
    made = [result["asset"]["id"] for result in results if result["asset"]]
    assert {key.partition("/")[0] for key in await keys(service) - before} == set(made)
    assert await journal(service) == []
    mended = [each | {"asset": {"name": "mended"}} for each in items]
    again = await post(user.http, mended, b"01234567")
    reused = "idempotency_key_reused"
    assert codes(again) == [None, reused, None, None, None, None, None, None]


async def test_items_within_the_quota_are_created(service: Service, user: User) -> None:
    await execute(service.settings, "update users set quota_bytes = 10 where id = $1", user.id)
    async with service.client(await service.new_token(user.id)) as http:
        contents = [b"x" * 6, b"y" * 5, b"z" * 4, b"!"]
        results = await post(http, [item(content) for content in contents], *contents)
        assert codes(results) == [None, "quota_exceeded", None, "quota_exceeded"]
    await assert_nothing_lost_or_stray(service.settings)


async def test_concurrent_batches_do_not_exceed_the_quota_together(
    service: Service, user: User
) -> None:
    await execute(service.settings, "update users set quota_bytes = 10 where id = $1", user.id)
    async with service.client(await service.new_token(user.id)) as http:
        items = [item(b"xxxx") for _ in range(2)]
        replies = await asyncio.gather(*(post(http, items, b"x" * 8) for _ in range(5)))
        found = [code for results in replies for code in codes(results)]
    assert found.count(None) == 2
    assert set(found) == {None, "quota_exceeded"}
    assert await journal(service) == []
    await assert_nothing_lost_or_stray(service.settings)


async def test_a_concurrently_deleted_folder_fails_only_its_items(
    service: Service, user: User
) -> None:
    folder = await make_folder(user)
    before = await keys(service)
    items = [item(b"x", parent_id=folder.id), item(b"y", name="stays")]
    async with held_before_the_rows(service.settings) as on:
        sending = asyncio.create_task(post(user.http, items, b"xy"))
        await until_rows_wait(service.settings)
        assert len(await keys(service) - before) == 2
        await on.execute("delete from assets where id = $1", folder.id)
    assert codes(await sending) == ["invalid_parent", None]
    assert await names(user, recursive=True) == ["stays"]
    assert await journal(service) == []
    await assert_nothing_lost_or_stray(service.settings)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        (batch([item(b"x")], b"xy"), 422),
        (batch([item(b"xy")], b"x"), 422),
        (batch([], b""), 422),
        (batch([item(b"")] * (MAX_BATCH + 1), b""), 422),
        (batch([item(b"x", surprise=1)], b"x"), 422),
        (batch([item(b"x", name="")], b"x"), 422),
        (batch([item(b"x", key="k"), item(b"x", key="k")], b"xx"), 422),
        (batch([item(b"x", key="ü")], b"x"), 422),
        (batch([item(b"x") | {"size": -1}], b"x"), 422),
        (batch([item(bytes(MAX_BATCH_BYTES)), item(b"x")], bytes(MAX_BATCH_BYTES + 1)), 413),
        ({"files": batch([item(b"")], b"")["files"][:1]}, 422),
        ({"files": batch([item(b"x")], b"x")["files"][::-1]}, 422),
        ({"files": batch([item(b"x")], b"x")["files"] * 2}, 422),
        ({"files": [("json", (None, b"{", None)), ("file", ("f", b""))]}, 400),
        ({"json": {"assets": [item(b"")]}}, 400),
    ],
)
async def test_an_invalid_batch_is_refused_as_a_whole(
    service: Service, user: User, parts: dict[str, Any], status: int
) -> None:
    reply = await user.http.post("/v1/assets/batch", **parts)
    assert reply.status_code == status, reply.text
    assert await names(user) == []
    assert await journal(service) == []


async def test_a_missing_token_is_refused_before_the_body_is_read(service: Service) -> None:
    async with service.client(token="nonsense") as nobody:
        reply = await nobody.post("/v1/assets/batch", content=b"x" * 1000)
        assert reply.status_code == 401


async def test_a_batch_takes_one_round_trip_per_server(
    start_service: Callable[..., Service],
) -> None:
    """The number of transactions does not depend on the number of items."""
    service = start_service()
    async with await service.new_user() as user:

        async def commits() -> int:
            found: int = await service.db.pool.fetchval(
                "select count(distinct xmin::text) from assets"
            )
            return found

        items = [item(b"x", key=f"{number}") for number in range(50)]
        assert codes(await post(user.http, items, b"x" * 50)) == [None] * 50
        assert await service.run(commits()) == 1
