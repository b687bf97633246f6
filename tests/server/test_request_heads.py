"""Limits on request heads, chunk extensions, trailers and stalled clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.support.jobs import small_socket, start
from tests.support.raw_http import Raw, head, raw, send_often
from tests.support.services import Service, eventually

LIMIT = 64 * 1024
PIECE = b"a" * 65_536
CHUNKED = b"POST /v1/assets HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("request_head", "status", "code"),
    [
        (head("GET", "/healthz", X_A="a" * (LIMIT - 100)), 200, None),
        (head("GET", "/healthz?" + "a" * (LIMIT - 100)), 200, None),
        (head("GET", "/healthz", X_A="a" * LIMIT), 431, "headers_too_large"),
        (head("GET", "/healthz", **{f"X_{n}": "a" * 300 for n in range(250)}), 431, None),
        (head("GET", "/healthz", **{f"X_{n}": "" for n in range(400)}), 431, "headers_too_large"),
        (head("GET", "/" + "a" * LIMIT), 414, "uri_too_long"),
        (head("GET", "/healthz", X_A="a" * 1024 * 1024), 431, "headers_too_large"),
    ],
    ids=["fits", "URL fits", "long", "many long", "many short", "URL", "over many reads"],
)
async def test_a_head_over_the_limit_is_refused_with_a_problem(
    service: Service, request_head: bytes, status: int, code: str | None
) -> None:
    async with raw(service.url) as connection:
        await connection.send(request_head)
        reply = await connection.reply()
        assert reply.status == status
        if status == 200:
            return
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers["x-request-id"] == reply.json()["request_id"]
        assert code in (None, reply.json()["code"])
        assert await connection.is_closed()


@pytest.mark.parametrize(
    ("beginning", "piece", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nX-A: ", PIECE, 431),
        (b"GET /healthz HTTP/1.1\r\n", b"X-A: aaaa\r\n" * 6000, 431),
        (b"GET /healthz HTTP/1.1\r\n", b"a:\r\n" * 10_000, 431),
        (b"GET /healthz HTTP/1.1\r\n", PIECE, 431),
        (b"GET /", PIECE, 414),
        (b"", b"\r\n" * 30_000, 431),
    ],
    ids=["value", "headers", "short headers", "name", "URL", "empty lines"],
)
async def test_an_endless_head_is_refused_before_it_ends(
    service: Service, beginning: bytes, piece: bytes, status: int
) -> None:
    async with raw(service.url) as connection:
        await connection.send(beginning)
        for _ in range(4):
            await connection.send(piece)
        assert (await connection.reply()).status == status
        with pytest.raises(ConnectionError):
            await send_often(connection, piece)


@pytest.mark.parametrize(
    ("rest", "piece"),
    [(b"\r\n1;", PIECE), (b"\r\n0\r\n", b"X-A: " + b"b" * 60_000 + b"\r\n")],
    ids=["chunk extension", "trailers"],
)
async def test_endless_data_outside_of_the_body_closes_the_connection(
    service: Service, rest: bytes, piece: bytes
) -> None:
    authorization = f"Authorization: Bearer {service.token}\r\n".encode()
    form = b'Content-Type: multipart/form-data; boundary="b"\r\n'
    async with raw(service.url) as connection:
        await connection.send(CHUNKED + authorization + form + rest)
        with pytest.raises(ConnectionError):
            await send_often(connection, piece)


async def _read_all(connection: Raw, statuses: list[int]) -> None:
    while True:
        statuses.append((await connection.reply()).status)


async def test_trailers_are_no_headers_of_the_request(service: Service) -> None:
    trailer = f"Authorization: Bearer {service.token}\r\n".encode()
    async with raw(service.url) as connection:
        await connection.send(CHUNKED + b"\r\n0\r\n" + trailer + b"\r\n")
        assert (await connection.reply()).status == 401


async def test_a_connection_without_a_complete_head_is_closed(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(head_timeout_s=2)
    async with raw(service.url) as silent, raw(service.url) as slow, raw(service.url) as second:
        assert (await second.get()).status == 200
        await slow.send(b"GET /healthz HTTP/1.1\r\nX-A: ")
        await second.send(b"GET /hea")
        assert await silent.is_closed()
        assert await slow.is_closed()
        assert await second.is_closed()


async def test_a_head_that_comes_byte_by_byte_gets_no_more_time(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(head_timeout_s=2)

    async def drip() -> None:
        await connection.send(b"GET /healthz HTTP/1.1\r\n")
        while True:
            await connection.send(b"a: b\r\n")
            await asyncio.sleep(0.05)

    async with raw(service.url) as connection:
        dripping = asyncio.create_task(drip())
        assert await connection.is_closed()
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)


async def test_an_idle_connection_is_closed_after_its_time(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(keep_alive_s=1)
    async with raw(service.url) as connection:
        assert (await connection.get()).status == 200
        assert await connection.is_closed()


async def test_a_slow_response_is_not_cut_off_by_an_unfinished_second_request(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(head_timeout_s=1)
    async with await service.new_user() as user:
        job = (await start(user))["id"]
        path = f"/v1/jobs/{job}/events?after=1&wait=3"
        async with raw(service.url) as connection:
            await connection.send(head("GET", path, Authorization=f"Bearer {user.token}"))
            await connection.send(b"GET /hea")
            assert (await connection.reply()).status == 200


async def test_the_body_of_a_refused_request_is_not_awaited_without_limit(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(head_timeout_s=2)
    async with raw(service.url) as connection:
        await connection.send(head("POST", "/v1/assets", Content_Length="1000000") + b"some")
        assert (await connection.reply()).status == 401
        await connection.send(b"more")
        assert await connection.is_closed()


async def test_a_connection_is_kept_if_the_rest_of_a_refused_body_arrives(
    service: Service,
) -> None:
    async with raw(service.url) as connection:
        await connection.send(head("POST", "/v1/assets", Content_Length="8") + b"some")
        assert (await connection.reply()).status == 401
        await connection.send(b"more")
        assert (await connection.get()).status == 200


async def test_a_flood_of_pipelined_requests_closes_the_connection(service: Service) -> None:
    async with raw(service.url) as connection:
        await connection.send(head("GET", "/healthz") * 2000)
        statuses: list[int] = []
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await _read_all(connection, statuses)
        assert len(statuses) <= 101


async def test_some_pipelined_requests_are_answered_in_order(service: Service) -> None:
    async with raw(service.url) as connection:
        await connection.send(head("GET", "/healthz") * 50 + head("GET", "/v1/me"))
        statuses = [(await connection.reply()).status for _ in range(51)]
        assert statuses == [200] * 50 + [401]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /x HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
        b"POST /v1/jobs HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nA\x00: b\r\n\r\n",
    ],
)
async def test_what_is_not_valid_http_is_a_bad_request(
    service: Service, request_bytes: bytes
) -> None:
    async with raw(service.url) as connection:
        await connection.send(request_bytes)
        reply = await connection.reply()
        assert (reply.status, reply.json()["code"]) == (400, "bad_request")
        assert await connection.is_closed()


@pytest.mark.parametrize("chunk", [b"fffffffffffffffff\r\n", b"-1\r\n", b"zz\r\n", b"1\r\nab\r\n"])
async def test_a_malformed_chunk_ends_the_request(service: Service, chunk: bytes) -> None:
    authorization = f"Authorization: Bearer {service.token}\r\n".encode()
    async with raw(service.url) as connection:
        await connection.send(CHUNKED.replace(b"/assets", b"/jobs") + authorization + b"\r\n")
        await connection.send(chunk)
        assert await connection.is_closed()


@pytest.mark.parametrize("host", ["[", "a b", "x:y", "x:99999999", "é", "", "a/../b?c#d@e"])
@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/v1/me", 401), ("/x", 404)])
async def test_an_odd_host_changes_nothing(
    service: Service, host: str, path: str, status: int
) -> None:
    async with raw(service.url) as connection:
        await connection.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))
        assert (await connection.reply()).status == status


async def test_other_forms_of_requests_are_served(service: Service) -> None:
    async with raw(service.url) as connection:
        await connection.send(b"GET http://other.example/healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await connection.reply()).status == 200
        await connection.send(head("POST", "/v1/assets", Expect="100-continue", Content_Length="3"))
        assert (await connection.reply()).status == 401
    async with raw(service.url) as connection:
        await connection.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert (await connection.reply()).status == 200
        assert await connection.is_closed()


async def test_clients_that_do_not_read_are_given_up(
    start_service: Callable[..., Service],
) -> None:
    service = start_service(stalled_reader_s=0.5, max_connections=8)
    async with await service.new_user() as user:
        files = {"file": ("large", bytes(16 * 1024 * 1024))}
        asset = (await user.http.post("/v1/assets", files=files)).json()["id"]
        path = f"/v1/assets/{asset}/content"
        with ExitStack() as stack:
            for _ in range(3):
                reader = stack.enter_context(small_socket(service))
                reader.sendall(head("GET", path, Authorization=f"Bearer {user.token}"))

            async def is_free() -> bool:
                async with raw(service.url) as connection:
                    return (await connection.get()).status == 200

            await eventually(is_free)
            assert (await user.http.get("/v1/me")).status_code == 200


async def test_a_client_that_reads_slowly_is_served(start_service: Callable[..., Service]) -> None:
    service = start_service(stalled_reader_s=1)
    size = 4 * 1024 * 1024
    async with await service.new_user() as user:
        asset = (await user.http.post("/v1/assets", files={"file": ("large", bytes(size))})).json()
        path = f"/v1/assets/{asset['id']}/content"
        request = head("GET", path, Authorization=f"Bearer {user.token}", Connection="close")
        with small_socket(service) as reader:
            reader.sendall(request)
            received = 0
            while piece := await asyncio.to_thread(reader.recv, 32 * 1024):
                received += len(piece)
                await asyncio.sleep(0.02)
    assert received > size
