"""Tests of small files on the bulk path: incomplete responses are left to a download."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme

from processing_context._transport.bulk import Bulk
from tests.support.loopback import Answer, Loopback, in_turn
from tests.support.services import WAIT_S


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def bulk() -> Iterator[Bulk]:
    made = Bulk(timeout_s=WAIT_S, retries=0, make_ssl_context=ssl.create_default_context)
    yield made
    made.close()


class Storage:
    """Server that sends one of `answers` on each connection, then closes it."""

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
            with connection, contextlib.suppress(OSError):  # the client may close the connection
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
async def test_anything_but_the_whole_file_is_left_to_a_download(answer: bytes, bulk: Bulk) -> None:
    with Storage(answer, OK) as storage:
        assert await bulk.read(storage.url, 5) is None
        assert await bulk.read(storage.url, 5) == b"hello"


async def test_a_connection_that_was_closed_meanwhile_is_not_used_again(bulk: Bulk) -> None:
    with Storage(OK, OK) as storage:
        for _ in range(2):
            assert await bulk.read(storage.url, 5) == b"hello"


async def test_a_file_in_chunks_is_read(bulk: Bulk) -> None:
    chunked = OK.replace(b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n5\r\n")
    with Storage(chunked + b"\r\n0\r\n\r\n") as storage:
        assert await bulk.read(storage.url, 5) == b"hello"


async def test_storage_with_tls_is_checked_against_the_trusted_certificates() -> None:
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    trusting = ssl.create_default_context()
    bulk = Bulk(timeout_s=WAIT_S, retries=0, make_ssl_context=lambda: trusting)
    with Loopback(lambda _: Answer(200, b"hello")) as server:
        server._server.socket = serving.wrap_socket(server._server.socket, server_side=True)
        url = server.url.replace("http", "https")
        assert await bulk.read(url, 5) is None
        authority.configure_trust(trusting)
        assert [await bulk.read(url, 5) for _ in range(2)] == [b"hello"] * 2
        assert server.connections == 1
        bulk.close()


async def test_a_proxy_of_the_environment_is_used(
    bulk: Bulk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Loopback(in_turn(Answer(200, b"proxy"))) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert await bulk.read("http://storage.invalid/k", 5) == b"proxy"
        assert proxy.asked[0].path == "http://storage.invalid:80/k"
        with Loopback(in_turn(Answer(200, b"hello"))) as server:
            assert await bulk.read(server.url, 5) == b"hello"
        bulk.close()
