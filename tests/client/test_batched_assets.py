"""Many small files at once: batched, and still each its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import trustme

from processing_context import (
    Asset,
    NotFoundError,
    ProcessingContext,
    UnavailableError,
    ValidationError,
)
from processing_context._transport.quick import QuickCalls
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
    """Return an asset as the service would send it."""
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


class Storage:
    """Answers each connection with the next of `answers`, once it has asked; then hangs up."""

    def __init__(self, *answers: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/b/k?X-Amz-Signature=s"
        self._answers = answers
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Storage:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        self._listener.close()

    def _serve(self) -> None:
        for answer in self._answers:
            connection, _ = self._listener.accept()
            with connection, contextlib.suppress(OSError):  # the client may hang up on it
                connection.recv(65536)
                connection.sendall(answer)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"200 OK", b"206 Partial"),
        OK.replace(b"200 OK", b"404 Not Found"),
        OK.replace(b"200 OK", b"307 There\r\nLocation: /x"),
        OK.replace(b"5", b"6"),
        OK.replace(b"5", b"4"),
        OK.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        OK.replace(b"Content-Length: 5", b"Content-Length: 5\r\nContent-Encoding: gzip"),
        OK[:-1],
        OK[:20],
        b"",
        b"x" * 100_000,
    ],
)
async def test_anything_but_the_plainest_answer_is_left_to_the_byte_path(answer: bytes) -> None:
    quick = QuickCalls(timeout_s=60, certificates=_no_certificates)
    with Storage(answer, OK) as storage:
        assert await quick.get(storage.url, 5) is None
        assert await quick.get(storage.url, 5) == b"hello"
    await quick.aclose()


async def test_a_connection_that_was_closed_meanwhile_is_not_used_again() -> None:
    quick = QuickCalls(timeout_s=60, certificates=_no_certificates)
    with Storage(OK, OK) as storage:
        for _ in range(2):
            found = None
            while found is None:  # the end of the first connection may not have been seen yet
                found = await quick.get(storage.url, 5)
            assert found == b"hello"
    await quick.aclose()


async def test_storage_with_tls_is_trusted_by_the_certificates_of_the_byte_path() -> None:
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    trusting = ssl.create_default_context()

    async def certificates() -> ssl.SSLContext:
        return trusting

    quick = QuickCalls(timeout_s=60, certificates=certificates)
    with Loopback(lambda _: Answer(200, b"hello")) as server:
        server._server.socket = serving.wrap_socket(server._server.socket, server_side=True)
        url = server.url.replace("http", "https")
        assert await quick.get(url, 5) is None
        authority.configure_trust(trusting)
        assert [await quick.get(url, 5) for _ in range(2)] == [b"hello"] * 2
        await quick.aclose()


async def test_what_goes_through_a_proxy_is_left_to_the_byte_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    quick = QuickCalls(timeout_s=60, certificates=_no_certificates)
    with Loopback(lambda _: Answer(200, b"hello")) as server:
        assert await quick.get(server.url, 5) is None
        assert server.asked == []
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert await quick.get(server.url, 5) == b"hello"
        await quick.aclose()


async def _no_certificates() -> Any:
    raise AssertionError("nothing here is encrypted")
