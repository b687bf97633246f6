"""Tests of batched requests for many small files."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from processing_context import (
    Asset,
    NotFoundError,
    ProcessingContext,
    UnavailableError,
    ValidationError,
)
from tests.support.assets import names
from tests.support.loop import turns
from tests.support.loopback import Answer, Asked, Loopback, problem, reply
from tests.support.network import Network
from tests.support.services import Service, User

COUNT = 12
NONE = "0" * 32


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest_asyncio.fixture
async def ctx(service: Service, user: User) -> AsyncIterator[ProcessingContext]:
    async with ProcessingContext(base_url=service.url, token=user.token) as made:
        yield made


async def test_many_small_files_at_once_are_each_what_was_sent(
    ctx: ProcessingContext, user: User
) -> None:
    contents = [os.urandom(1000 * number) for number in range(COUNT)]
    folder = await ctx.create_folder("folder")
    made = await asyncio.gather(
        *(
            ctx.create_asset(f"{n}", "a/b", content, folder.id, metadata={"n": n})
            for n, content in enumerate(contents)
        )
    )
    assert [asset.name for asset in made] == [f"{n}" for n in range(COUNT)]
    assert [asset.metadata for asset in made] == [{"n": n} for n in range(COUNT)]
    assert len({asset.id for asset in made}) == COUNT
    files = await asyncio.gather(*(ctx.download_asset(asset.id) for asset in made))
    assert [file.read() for file in files] == contents
    assert len(await names(user, parent_id=folder.id)) == COUNT


async def test_one_bad_file_among_many_fails_alone(ctx: ProcessingContext, user: User) -> None:
    ends = await asyncio.gather(
        ctx.create_asset("good", "a/b", b"x"),
        ctx.create_asset("bad", "a/b", b"x", NONE),
        ctx.create_asset("good", "a/b", b"x"),
        return_exceptions=True,
    )
    assert [type(end) for end in ends] == [Asset, ValidationError, Asset]
    assert getattr(ends[1], "code", None) == "invalid_parent"
    assert await names(user) == ["good", "good"]


async def test_what_is_not_there_fails_alone(ctx: ProcessingContext) -> None:
    made = await ctx.create_asset("a", "a/b", b"x")
    ends = await asyncio.gather(
        *(ctx.find_asset(asset_id) for asset_id in (made.id, NONE, made.id, "odd\x00", "a/b")),
        return_exceptions=True,
    )
    assert [type(end) for end in ends] == [
        Asset,
        NotFoundError,
        Asset,
        NotFoundError,
        NotFoundError,
    ]
    assert ends[0] == ends[2]
    assert ends[0] is not ends[2]
    with pytest.raises(ValueError, match="asset_id"):
        await ctx.find_asset("")


async def test_a_look_up_sees_what_was_true_when_it_was_asked(ctx: ProcessingContext) -> None:
    made = await ctx.create_asset("before", "a/b", b"x")
    looking = [asyncio.create_task(ctx.find_asset(made.id)) for _ in range(3)]
    await turns()
    await ctx.update_asset(made.id, name="after")
    assert (await ctx.find_asset(made.id)).name == "after"
    await asyncio.gather(*looking)


async def test_a_lost_reply_makes_nothing_twice(service: Service, user: User) -> None:
    with Network(service.url) as network:
        network.swallow = b"/v1/assets/batch"
        async with ProcessingContext(base_url=network.url, token=user.token) as ctx:
            made = await asyncio.gather(
                *(ctx.create_asset(f"{n}", "a/b", b"x") for n in range(COUNT))
            )
        assert network.swallow is None
    assert len({asset.id for asset in made}) == COUNT
    assert len(await names(user)) == COUNT


def asset(name: str) -> dict[str, Any]:
    """Return an asset in the form of the service."""
    given = {"id": "1" * 32, "user_id": "u", "name": name, "content_type": "a/b", "size": 1}
    none = dict.fromkeys(
        ("workflow_id", "job_id", "node_id", "parent_id", "sha256", "duration", "width", "height",
         "get_url", "thumb_url")
    )  # fmt: skip
    times = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
    return {**given, **none, **times, "status": "ready", "metadata": {}}


async def test_an_item_that_a_batch_did_not_make_is_sent_alone_under_its_key() -> None:
    keys: list[str] = []

    def answer(asked: Asked) -> Answer:
        if asked.path == "/v1/assets/batch":
            described = json.loads(asked.body.split(b"\r\n\r\n")[1].split(b"\r\n")[0])
            keys.extend(item["idempotency_key"] for item in described["assets"])
            refused = {
                "asset": None,
                "problem": json.loads(problem(503, "storage_unavailable").body),
            }
            taken = {"asset": asset("first"), "problem": None}
            return reply({"results": [each | {"is_replay": False} for each in (taken, refused)]})
        assert asked.headers["idempotency-key"] == keys[1]
        return reply(asset("second"), 201)

    with Loopback(answer) as server:
        async with ProcessingContext(base_url=server.url, token="t", user_id="u") as ctx:
            made = await asyncio.gather(*(ctx.create_asset(n, "a/b", b"x") for n in ("1", "2")))
    assert [each.name for each in made] == ["first", "second"]
    assert len(server.asked) == 2


async def test_a_service_without_batches_gets_each_alone() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path != "/v1/assets":
            return problem(405, "method_not_allowed")
        name = json.loads(asked.body.split(b"\r\n\r\n")[1].split(b"\r\n")[0])["name"]
        return reply(asset(name), 201)

    with Loopback(answer) as server:
        async with ProcessingContext(base_url=server.url, token="t", user_id="u") as ctx:
            made = await asyncio.gather(*(ctx.create_asset(n, "a/b", b"x") for n in "abc"))
    assert [each.name for each in made] == ["a", "b", "c"]


async def test_a_service_that_is_away_is_not_asked_again_for_each() -> None:
    with Loopback(lambda _: problem(503, "unavailable")) as server:
        context = ProcessingContext(base_url=server.url, token="t", user_id="u", retries=0)
        async with context as ctx:
            ends = await asyncio.gather(
                *(ctx.create_asset(n, "a/b", b"x") for n in "abc"), return_exceptions=True
            )
    assert [type(end) for end in ends] == [UnavailableError] * 3
    assert [asked.path for asked in server.asked] == ["/v1/assets/batch"]
