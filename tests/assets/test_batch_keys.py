"""Idempotency keys of batches of assets, and of their items."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.asset_batches import (
    batch,
    codes,
    held_before_the_rows,
    item,
    post,
    until_rows_wait,
)
from tests.support.assets import form, journal, keys, names
from tests.support.services import Service, User
from tests.support.sweeps import assert_nothing_lost_or_stray, execute


async def test_a_repeated_batch_returns_the_assets_of_the_first_one(
    service: Service, user: User
) -> None:
    contents = [b"one", b"two", b"three"]
    items = [item(content, key=content.decode()) for content in contents]
    first = await post(user.http, items, *contents)
    await user.http.delete(f"/v1/assets/{first[1]['asset']['id']}")
    await user.http.patch(f"/v1/assets/{first[2]['asset']['id']}", json={"name": "renamed"})
    again = await post(user.http, items[::-1], *contents[::-1])
    assert [result["is_replay"] for result in again] == [True] * 3
    assert codes(again) == [None, "asset_not_found", None]
    assert again[0]["asset"]["id"] == first[2]["asset"]["id"]
    assert again[0]["asset"]["name"] == "renamed"
    assert again[2]["asset"]["id"] == first[0]["asset"]["id"]
    assert sorted(await names(user)) == ["a", "renamed"]
    assert await journal(service) == []


async def test_a_key_is_shared_by_single_requests_and_batches(user: User) -> None:
    alone = await user.http.post(
        "/v1/assets", headers={"Idempotency-Key": "k"}, **form(b"x", name="a")
    )
    assert alone.status_code == 201
    same, changed = item(b"x", key="k"), item(b"y", key="k")
    results = await post(user.http, [same], b"x")
    assert (results[0]["asset"]["id"], results[0]["is_replay"]) == (alone.json()["id"], True)
    assert codes(await post(user.http, [changed], b"y")) == ["idempotency_key_reused"]
    [made] = await post(user.http, [item(b"z", key="l")], b"z")
    replay = await user.http.post(
        "/v1/assets", headers={"Idempotency-Key": "l"}, **form(b"z", name="a")
    )
    assert (replay.status_code, replay.headers["idempotent-replay"]) == (201, "true")
    assert replay.json()["id"] == made["asset"]["id"]


async def test_the_key_of_a_batch_is_a_key_for_each_item(user: User) -> None:
    async def send(content: bytes, key: str = "k", **more: Any) -> httpx.Response:
        items = [item(content[:1], **more), item(content[1:], **more)]
        headers = {"Idempotency-Key": key}
        return await user.http.post("/v1/assets/batch", headers=headers, **batch(items, content))

    first, again = await send(b"xy"), await send(b"xy")
    assert "idempotent-replay" not in first.headers
    assert again.headers["idempotent-replay"] == "true"
    ids = [[each["asset"]["id"] for each in reply.json()["results"]] for reply in (first, again)]
    assert ids[0] == ids[1]
    changed = (await send(b"xz")).json()["results"]
    assert codes(changed) == [None, "idempotency_key_reused"]
    assert len(await names(user)) == 2
    assert (await send(b"xy", key="")).status_code == 400
    assert (await send(b"xy", key="l" * 256)).status_code == 400
    both = await user.http.post(
        "/v1/assets/batch",
        headers={"Idempotency-Key": "k"},
        **batch([item(b"x", key="own")], b"x"),
    )
    assert (both.status_code, both.json()["code"]) == (422, "invalid_asset")


async def test_a_key_in_use_is_in_flight_and_the_other_items_are_created(
    service: Service, user: User
) -> None:
    await execute(
        service.settings,
        "insert into idempotency_keys (user_id, route, key, request, expires_at) "
        "values ($1, '/v1/assets', 'busy', 'x', now() + interval '1 hour')",
        user.id,
    )
    results = await post(user.http, [item(b"x", key="busy"), item(b"y", key="free")], b"xy")
    assert codes(results) == ["idempotency_in_flight", None]
    assert await names(user) == ["a"]


@pytest.mark.parametrize("is_batch", [True, False])
async def test_a_request_that_lost_its_key_creates_nothing(
    service: Service, user: User, is_batch: bool
) -> None:
    before = await keys(service)
    async with held_before_the_rows(service.settings) as on:
        if is_batch:
            items = [item(b"x", key="lost"), item(b"y", key="kept", name="kept")]
            sending = asyncio.create_task(user.http.post("/v1/assets/batch", **batch(items, b"xy")))
        else:
            headers = {"Idempotency-Key": "lost"}
            sending = asyncio.create_task(
                user.http.post("/v1/assets", headers=headers, **form(b"x"))
            )
        await until_rows_wait(service.settings)
        assert len(await keys(service) - before) == 1 + is_batch
        # As if it had been out of touch until its mark expired.
        await on.execute("update idempotency_keys set request = 'other' where key = 'lost'")
    reply = await sending
    if is_batch:
        assert codes(reply.json()["results"]) == ["idempotency_in_flight", None]
    else:
        assert (reply.status_code, reply.json()["code"]) == (409, "idempotency_in_flight")
    assert await names(user) == (["kept"] if is_batch else [])
    assert await journal(service) == []
    await assert_nothing_lost_or_stray(service.settings)


async def test_concurrent_repeated_batches_create_each_asset_once(
    service: Service, user: User
) -> None:
    items = [item(b"x", key=f"{number}", name=f"{number}") for number in range(20)]
    sent = [items, items[::-1]] * 3
    replies = await asyncio.gather(*(post(user.http, each, b"x" * 20) for each in sent))
    assert {code for results in replies for code in codes(results)} <= {
        None,
        "idempotency_in_flight",
    }
    assert sorted(await names(user)) == sorted(each["asset"]["name"] for each in items)
    await assert_nothing_lost_or_stray(service.settings)
