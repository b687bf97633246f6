from __future__ import annotations

import asyncio
import hashlib
import io
import os
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest
import trustme

import processing_context as pc
from processing_context._transport import retry
from processing_context._transport.bulk import Bulk
from processing_context._transport.connections import Target
from tests.support.loopback import DROP, Answer, Asked, Loopback, in_turn
from tests.support.services import WAIT_S

BODY = os.urandom(3 * 1024 * 1024 + 17)
ETAG = '"v1"'


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_S", 0.01)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def transport() -> Any:
    made = Bulk(timeout_s=WAIT_S, retries=4, make_ssl_context=ssl.create_default_context)
    yield made
    made.close()


def with_ranges(cuts: list[int | None], *, etag: str = ETAG) -> Callable[[Asked], Answer]:
    """Serve BODY with ranges; answer n is cut after cuts[n] bytes."""

    def answer(asked: Asked) -> Answer:
        cut = cuts.pop(0) if cuts else None
        wanted = asked.headers.get("range")
        if wanted and asked.headers.get("if-range") == etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            span = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
            return Answer(206, BODY[start:], {"Content-Range": span, "ETag": etag}, cut)
        return Answer(200, BODY, {"ETag": etag}, cut)

    return answer


async def test_a_download_goes_on_where_the_connection_dropped(transport: Bulk) -> None:
    cuts: list[int | None] = [1_000_000, 500_000, None]
    with Loopback(with_ranges(cuts)) as server:
        sha256 = hashlib.sha256(BODY).hexdigest()
        download = await transport.get(f"{server.url}/f", sha256=sha256)
    assert download.file.read() == BODY
    asked = [request.headers.get("range") for request in server.asked]
    assert asked == [None, "bytes=1000000-", "bytes=1500000-"]


async def test_a_file_that_changed_on_the_way_is_fetched_anew(transport: Bulk) -> None:
    other = b"short"

    def answer(asked: Asked) -> Answer:
        first = "range" not in asked.headers
        return Answer(200, BODY, {"ETag": ETAG}, 2_000_000) if first else Answer(200, other)

    with Loopback(answer) as server:
        download = await transport.get(f"{server.url}/f")
    assert download.file.read() == other


async def test_wrong_bytes_are_not_handed_out(transport: Bulk) -> None:
    with (
        Loopback(in_turn(Answer(200, b"abc"))) as server,
        pytest.raises(pc.ContextError, match="SHA-256"),
    ):
        await transport.get(f"{server.url}/f", sha256="0" * 64)


async def test_a_download_that_never_gets_anywhere_ends(transport: Bulk) -> None:
    with (
        Loopback(in_turn(Answer(200, b"abc", cut_after=0))) as server,
        pytest.raises(pc.ConnectionFailedError, match="0 of 3 bytes"),
    ):
        await transport.get(f"{server.url}/f")
    assert len(server.asked) == 5


async def test_an_upload_is_repeated_whole_after_a_drop(transport: Bulk) -> None:
    with Loopback(in_turn(DROP, Answer(503), Answer(200))) as server:
        source = io.BytesIO(b"...." + BODY)
        source.seek(4)  # the position is ignored: uploads start at 0
        await transport.put(f"{server.url}/f?sig=1", source, 4 + len(BODY), headers={"X-H": "1"})
    assert [request.body == b"...." + BODY for request in server.asked] == [True] * 3
    assert server.asked[2].path == "/f?sig=1"
    assert server.asked[2].headers["content-length"] == str(4 + len(BODY))
    assert server.asked[2].headers["x-h"] == "1"
    assert not source.closed


async def test_bytes_that_are_there_already_are_no_error(transport: Bulk) -> None:
    with Loopback(in_turn(Answer(412))) as server:
        await transport.put(f"{server.url}/f", io.BytesIO(b"x"), 1, headers={"If-None-Match": "*"})


async def test_a_refusal_of_storage_names_its_code_and_not_the_signature(transport: Bulk) -> None:
    xml = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"
    with (
        Loopback(in_turn(Answer(403, xml))) as server,
        pytest.raises(pc.HTTPStatusError, match="AccessDenied") as caught,
    ):
        await transport.put(f"{server.url}/f?X-Sig=secret", io.BytesIO(b"x"), 1, headers={})
    assert caught.value.status == 403
    assert "secret" not in str(caught.value)


async def test_a_source_that_shrank_is_an_error(transport: Bulk) -> None:
    with Loopback(in_turn(Answer(200))) as server, pytest.raises(ValueError, match="3 of 5"):
        await transport.put(f"{server.url}/f", io.BytesIO(b"abc"), 5, headers={})


async def test_a_url_that_ran_out_is_renewed_once(transport: Bulk) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(200, b"x") if asked.path == "/new" else Answer(403)

    async def renew() -> str:
        return f"{server.url}/new"

    with Loopback(answer) as server:
        download = await transport.get(f"{server.url}/old", renew=renew)
        assert download.file.read() == b"x"
        with pytest.raises(pc.HTTPStatusError):
            await transport.get(f"{server.url}/old")


async def test_connections_are_kept_and_a_stale_one_is_replaced(transport: Bulk) -> None:
    closing = Answer(200, b"x")
    with Loopback(lambda asked: DROP if asked.path == "/drop" else closing) as server:
        for _ in range(5):
            await transport.get(f"{server.url}/f")
        assert server.connections == 1
        url = server.url
        port = int(url.rpartition(":")[2])
    # The server and its idle connection are gone; another server listens on the same port.
    with Loopback(in_turn(closing)) as again:
        target = Target(again.url)
        connection = transport._pool.take(("http", "127.0.0.1", port))
        connection.origin = target.origin
        connection.raw.port = target.origin[2]
        transport._pool.give_back(connection)
        assert (await transport.get(f"{again.url}/f")).file.read() == b"x"
        assert len(again.asked) == 1


async def test_credentials_do_not_follow_a_redirect_to_another_origin(transport: Bulk) -> None:
    with Loopback(in_turn(Answer(200, b"x"))) as storage:
        to = Answer(307, headers={"Location": f"{storage.url}/object?sig=1"})
        with Loopback(in_turn(to)) as service:
            headers = {"Authorization": "Bearer t"}
            download = await transport.get(f"{service.url}/v1/x", headers=headers)
    assert download.file.read() == b"x"
    assert service.asked[0].headers["authorization"] == "Bearer t"
    assert "authorization" not in storage.asked[0].headers


async def test_redirects_in_a_circle_end(transport: Bulk) -> None:
    with (
        Loopback(in_turn(Answer(302, headers={"Location": "/f"}))) as server,
        pytest.raises(pc.HTTPStatusError, match="redirects"),
    ):
        await transport.get(f"{server.url}/f")
    assert len(server.asked) == 6


async def test_progress_is_told_in_the_loop_and_ends_with_all(transport: Bulk) -> None:
    told: list[tuple[int, int]] = []
    threads = set()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        threads.add(threading.get_ident())

    with Loopback(in_turn(Answer(200, BODY))) as server:
        await transport.get(f"{server.url}/f", progress=progress)
        assert told == sorted(told)
        assert told[-1] == (len(BODY), len(BODY))
        await transport.put(
            f"{server.url}/f", io.BytesIO(BODY), len(BODY), headers={}, progress=progress
        )
    assert told[-1] == (len(BODY), len(BODY))
    assert threads == {threading.get_ident()}


async def test_what_progress_raises_ends_the_transfer(transport: Bulk) -> None:
    def progress(*_: int) -> None:
        raise KeyError("mine")

    with Loopback(in_turn(Answer(200, BODY))) as server, pytest.raises(KeyError, match="mine"):
        await transport.get(f"{server.url}/f", progress=progress)
    assert len(server.asked) == 1


async def test_a_cancelled_transfer_lets_go_of_the_file_at_once(transport: Bulk) -> None:
    asked, hold = threading.Event(), threading.Event()

    def answer(_asked: Asked) -> Answer:
        asked.set()
        hold.wait(WAIT_S)
        return Answer(200)

    with Loopback(answer) as server:
        source = io.BytesIO(b"x")
        task = asyncio.create_task(transport.put(f"{server.url}/f", source, 1, headers={}))
        assert await asyncio.to_thread(asked.wait, WAIT_S)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=WAIT_S / 2)
        source.close()
        hold.set()  # the answer was delayed until now
    assert done
    assert task.cancelled()


async def test_a_large_download_is_on_disk_and_a_small_one_in_memory(transport: Bulk) -> None:
    large = bytes(17 * 1024 * 1024)
    with Loopback(lambda asked: Answer(200, large if asked.path == "/large" else b"x")) as server:
        on_disk = await transport.get(f"{server.url}/large")
        in_memory = await transport.get(f"{server.url}/small")
    assert isinstance(in_memory.file, io.BytesIO)
    with on_disk.file as file:
        assert os.fstat(file.fileno()).st_size == len(large)


async def test_a_proxy_of_the_environment_is_used(
    transport: Bulk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Loopback(in_turn(Answer(200, b"from the proxy"))) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//user:p%40ss@"))
        download = await transport.get("http://storage.invalid/bucket/key?sig=1")
        assert download.file.read() == b"from the proxy"
        asked = proxy.asked[0]
        assert asked.path == "http://storage.invalid:80/bucket/key?sig=1"
        assert asked.headers["host"] == "storage.invalid"
        assert asked.headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"
        with Loopback(in_turn(Answer(200, b"straight"))) as server:
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            assert (await transport.get(server.url)).file.read() == b"straight"
            assert "proxy-authorization" not in server.asked[0].headers


async def test_an_unknown_certificate_is_refused_at_once(transport: Bulk) -> None:
    authority = trustme.CA()
    with Loopback(in_turn(Answer(200, b"secret"))) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        url = server.url.replace("http", "https")
        with pytest.raises(pc.ConnectionFailedError, match="CERTIFICATE_VERIFY_FAILED"):
            await transport.get(url)
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        ours = Bulk(timeout_s=WAIT_S, retries=0, make_ssl_context=lambda: trusting)
        assert (await ours.get(url)).file.read() == b"secret"
        ours.close()


@pytest.mark.parametrize("url", ["", "ftp://h/x", "http://", "/path", "file:///etc/passwd"])
def test_what_is_no_http_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        Target(url)


def test_a_url_is_sent_as_it_was_signed_and_never_splits_a_request() -> None:
    signed = "http://h:9/b/a%20b+c/ü?X-Amz-Credential=a%2Fb&x=1~2"
    assert Target(signed).path == "/b/a%20b+c/%C3%BC?X-Amz-Credential=a%2Fb&x=1~2"
    assert Target("http://h/a b?c d\x01").path == "/a%20b?c%20d%01"


@pytest.mark.parametrize(
    ("url", "is_guarded"),
    [
        ("https://storage.example/b/k", True),
        ("http://127.0.0.1:9000/b/k", True),
        ("http://[::1]:9000/b/k", True),
        ("http://localhost/b/k", True),
        ("http://storage.example/b/k", False),
        ("http://10.0.0.5/b/k", False),
    ],
)
def test_what_goes_over_a_wire_without_tls_is_not_guarded(url: str, is_guarded: bool) -> None:
    assert Target(url).is_guarded is is_guarded


def test_what_goes_through_a_proxy_without_tls_is_not_guarded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "")
    assert not Target("http://127.0.0.1/b/k").is_guarded
    assert Target("https://127.0.0.1/b/k").is_guarded
