"""Registration of node descriptions by their hash, and `GET /v1/nodes`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from app.catalogue.service import CatalogueService
from app.workers.service import WorkerService
from tests.support.catalogue import (
    body_of,
    node,
    publish,
    register,
    send,
    sha256,
    types_of,
)
from tests.support.jobs import owner, refusal
from tests.support.services import Service, User, eventually


@pytest_asyncio.fixture
async def author(service: Service) -> AsyncIterator[User]:
    """A user whose token may register workers."""
    async with owner(service) as user:
        yield user


async def test_a_worker_sends_its_descriptions_only_if_they_are_not_stored(author: User) -> None:
    body = body_of(node("a.One", width="int"))
    first = await register(author.http, sha256(body))
    assert first["wants_catalogue"] is True
    assert await types_of(author) == []
    assert (await send(author.http, first["id"], body)).status_code == 204
    assert await types_of(author) == ["a.One"]
    second = await register(author.http, sha256(body))
    assert second["wants_catalogue"] is False
    assert (await send(author.http, second["id"], body)).status_code == 204
    assert (await register(author.http, None))["wants_catalogue"] is False
    assert await types_of(author) == ["a.One"]


async def test_the_hash_may_be_that_of_the_canonical_nodes(author: User) -> None:
    nodes = [node("a.Größe", b="int", a="str")]
    for number, ascii_only in enumerate((True, False)):
        listed = [{**nodes[0], "type": f"a.N{number}ß"}]
        text = json.dumps(
            listed, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only
        ).encode()
        made = await register(author.http, sha256(text))
        assert (await send(author.http, made["id"], body_of(*listed))).status_code == 204
    assert await types_of(author) == ["a.N0ß", "a.N1ß"]


async def test_descriptions_with_another_hash_are_refused(author: User) -> None:
    made = await register(author.http, sha256(body_of(node("a.One"))))
    reply = await send(author.http, made["id"], body_of(node("a.Other")))
    assert refusal(reply) == (422, "catalogue_mismatch")
    assert made["id"] in reply.json()["detail"]
    assert await types_of(author) == []


async def test_only_the_token_that_registered_a_worker_sends_for_it(
    service: Service, author: User, user: User
) -> None:
    body = body_of(node("a.One"))
    made = await register(author.http, sha256(body))
    token = await service.new_token(author.id, ("worker",))
    async with service.client(token) as sibling:
        assert refusal(await send(sibling, made["id"], body)) == (403, "forbidden")
    async with owner(service) as stranger:
        reply = await send(stranger.http, made["id"], b"not JSON")
        assert refusal(reply) == (404, "worker_not_found")
    assert (await send(user.http, made["id"], body)).status_code == 403


async def test_a_worker_without_a_hash_sends_nothing(author: User) -> None:
    made = await register(author.http, None)
    reply = await send(author.http, made["id"], body_of())
    assert refusal(reply) == (422, "no_catalogue_registered")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"nodes": [{}]}',
        b'{"nodes": [], "more": 1}',
        b'{"nodes": [{"type": "a.A", "properties": [{"name": "x", "sort": "int"}]}]}',
        b'{"nodes": [{"type": "a.A"}, {"type": "a.A"}]}',
        b'{"nodes": [{"type": "a\\u0000A"}]}',
        b'{"nodes": [{"type": "a.A", "description": "\\u0000"}]}',
        b'{"nodes": [{"type": "a.A", "properties": [{"name": "x", "default": %b}]}]}'
        % (b"[" * 300 + b"]" * 300),
        b'{"nodes": [{"type": "a.A", "properties": [{"name": "x", "default": "%b"}]}]}'
        % (b"y" * 300_000),
    ],
)
async def test_malformed_descriptions_are_refused(author: User, body: bytes) -> None:
    made = await register(author.http, sha256(body))
    reply = await send(author.http, made["id"], body)
    assert reply.status_code == 422, reply.text
    assert await types_of(author) == []


async def test_a_malformed_hash_is_refused(author: User) -> None:
    for digest in ("", "0" * 63, "g" * 64, "A" * 64):
        reply = await author.http.post("/v1/workers", json={"name": "w", "catalogue": digest})
        assert reply.status_code == 422


async def test_descriptions_over_the_limit_are_refused(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(max_catalogue_bytes=1000)
    body = body_of(*(node(f"a.N{number}") for number in range(100)))
    async with owner(service) as author:
        made = await register(author.http, sha256(body))
        assert (await send(author.http, made["id"], body)).status_code == 413


async def test_descriptions_larger_than_other_bodies_are_accepted(author: User) -> None:
    nodes = [
        {**node(f"big.N{n:02}"), "properties": [{"name": "x", "default": "y" * 200_000}]}
        for n in range(60)
    ]
    await publish(author, *nodes)
    first = (await author.http.get("/v1/nodes")).json()
    assert 1 < len(first["nodes"]) < 60  # a page ends before it exceeds 8 MiB
    rest = (await author.http.get("/v1/nodes", params={"cursor": first["next"]})).json()
    types = [each["type"] for each in first["nodes"] + rest["nodes"]]
    assert types == sorted(each["type"] for each in nodes)
    assert rest["next"] is None


async def test_a_node_is_listed_with_the_fields_that_were_sent(author: User) -> None:
    sent: dict[str, Any] = {
        "type": "image.Blur",
        "title": "Blur",
        "description": "Blur it.",
        "properties": [
            {
                "name": "radius",
                "type": "float",
                "required": False,
                "default": 2.5,
                "title": "Radius",
                "description": "In pixels.",
                "minimum": 0,
                "maximum": 64,
            },
            {"name": "mode", "type": "enum", "required": True, "values": ["a", "b"]},
        ],
        "outputs": [{"name": "output", "type": "image"}],
        "required_capabilities": ["cuda"],
        "is_cacheable": False,
        "is_dynamic": True,
        "versions": 7,
    }
    await publish(author, sent)
    [listed] = (await author.http.get("/v1/nodes")).json()["nodes"]
    mode = {"default": None, "title": None, "description": None, **sent["properties"][1]}
    assert listed == {**sent, "properties": [sent["properties"][0], mode], "versions": 1}


async def test_nodes_are_paged_and_filtered(author: User) -> None:
    names = ["b.Two", "a.One", "a.sub.Three", "ab.Four"]
    await publish(author, *(node(name) for name in names), node("C", x="int"))
    assert await types_of(author) == ["C", *sorted(names)]
    assert await types_of(author, namespace="a") == ["a.One", "a.sub.Three"]
    assert await types_of(author, namespace="", q="") == ["C", *sorted(names)]
    assert await types_of(author, q="does AB.f") == ["ab.Four"]
    assert await types_of(author, q="%") == []
    seen, cursor = [], None
    while True:
        query: dict[str, Any] = {"page_size": 2} | ({"cursor": cursor} if cursor else {})
        page = (await author.http.get("/v1/nodes", params=query)).json()
        seen += [each["type"] for each in page["nodes"]]
        if (cursor := page["next"]) is None:
            break
    assert seen == ["C", *sorted(names)]
    for bad in ("x", "MTo", "MToA"):
        reply = await author.http.get("/v1/nodes", params={"cursor": bad})
        assert refusal(reply) == (400, "invalid_cursor")


async def test_versions_of_a_type_are_counted_and_the_newest_is_shown(author: User) -> None:
    await publish(author, node("a.One", width="int"), node("a.Same"))
    await publish(author, node("a.One", breadth="int"), node("a.Same"))
    found = (await author.http.get("/v1/nodes")).json()["nodes"]
    assert [(each["type"], each["versions"]) for each in found] == [("a.One", 2), ("a.Same", 1)]
    assert found[0]["properties"][0]["name"] == "breadth"


async def test_private_nodes_are_the_owners_and_those_of_the_fleet_everybodys(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    async with owner(service) as author, owner(service) as other:
        token = await service.new_token(other.id, ("worker", "fleet"))
        async with service.client(token) as fleet:
            await publish(author, node("private.One"))
            await publish(User(other.id, token, fleet), node("fleet.Two"))
            # The same descriptions, once for the fleet and once for the owner alone.
            await publish(other, node("fleet.Two"))
        assert await types_of(author) == ["fleet.Two", "private.One"]
        assert await types_of(other) == ["fleet.Two"]
        async with await service.new_user() as third:
            assert await types_of(third) == ["fleet.Two"]


async def test_the_hash_of_a_foreign_catalogue_gives_no_access_to_it(
    service: Service, author: User
) -> None:
    body = body_of(node("secret.One"))
    await publish(author, node("secret.One"))
    async with owner(service) as thief:
        assert (await register(thief.http, sha256(body)))["wants_catalogue"] is True
        assert await types_of(thief) == []


async def test_nodes_stay_for_the_retention_after_their_last_worker(
    service: Service, author: User
) -> None:
    worker_id = await publish(author, node("a.One"))
    pool, catalogues = service.db.pool, service.get(CatalogueService)

    async def let_pass(days: float) -> None:
        age = "update node_catalogues set last_seen_at = last_seen_at - $2 * interval '1 day'"
        await service.run(pool.execute(f"{age} where user_id = $1", author.id, days))
        await service.run(service.get(WorkerService).mark_catalogues_seen())
        await service.run(catalogues.delete_unseen())

    await let_pass(8)
    assert await types_of(author) == ["a.One"]  # the worker still exists
    assert (await author.http.delete(f"/v1/workers/{worker_id}")).status_code == 204
    await let_pass(6.5)
    assert await types_of(author) == ["a.One"]
    await let_pass(0.6)
    assert await types_of(author) == []


async def test_the_oldest_descriptions_of_a_user_give_way(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(max_catalogues_per_user=2)
    async with owner(service) as author:
        for name in ("a.One", "a.Two", "a.Three"):
            await publish(author, node(name))
        assert await types_of(author) == ["a.Three", "a.Two"]


async def test_workers_that_register_at_once_store_one_catalogue(
    service: Service, author: User
) -> None:
    body = body_of(*(node(f"a.N{number:03}") for number in range(200)))
    made = [await register(author.http, sha256(body)) for _ in range(4)]
    replies = [send(author.http, each["id"], body) for each in made]
    assert {reply.status_code for reply in await asyncio.gather(*replies)} == {204}
    count = "select count(*) from node_catalogues where user_id = $1"
    assert await service.run(service.db.pool.fetchval(count, author.id)) == 1


async def test_a_replica_learns_of_new_descriptions(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    replica = start_service(like=service)
    async with owner(service) as author, replica.client(author.token) as elsewhere:
        job = {"graph": {"nodes": [{"id": "a", "type": "a.One", "data": {"x": 1}}]}}
        assert (await elsewhere.post("/v1/jobs", json=job)).status_code == 202
        await publish(author, node("a.One", width="int"))

        async def is_refused() -> bool:
            return (await elsewhere.post("/v1/jobs", json=job)).status_code == 422

        await eventually(is_refused, within_s=20)  # by the notification, before the cache expires
