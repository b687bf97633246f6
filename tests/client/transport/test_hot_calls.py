"""Tests of short calls on the bulk path: forms of responses, and connections that close."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

import processing_context as pc
from processing_context._transport.bulk import Bulk
from processing_context._transport.network import Network, UnreachedError
from processing_context._transport.transfer import Answered
from tests.support.loopback import DROP, Answer, Asked, Loopback, in_turn, problem
from tests.support.services import WAIT_S, free_port

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
def bulk() -> Iterator[Bulk]:
    made = Bulk(timeout_s=WAIT_S, retries=0, make_ssl_context=ssl.create_default_context)
    yield made
    made.close()


async def ask(
    bulk: Bulk, url: str, content: bytes | None = b"{}", *, timeout: float = WAIT_S, **more: str
) -> Answered:
    headers = {"X-Mine": "1", **more}
    return await bulk.request("POST", url, headers=headers, content=content, timeout=timeout)


@asynccontextmanager
async def scripted(*answers: bytes, is_closing: bool = False) -> AsyncIterator[str]:
    """Respond to requests in turn with these bytes, then close the connection."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while left:
            await reader.readuntil(b"{}")
            writer.write(left.pop(0))
            await writer.drain()
            if is_closing:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        yield f"http://{host}:{port}"


async def test_an_answer_comes_whatever_its_status_with_its_headers(bulk: Bulk) -> None:
    answers = [Answer(200, b"yes"), problem(503, "away", Retry_After="7"), Answer(204)]
    with Loopback(in_turn(*answers)) as server:
        found = [await ask(bulk, f"{server.url}/a?b=c") for _ in answers]
        bulk.close()
    assert [each.status for each in found] == [200, 503, 204]
    assert found[0].body == b"yes"
    assert found[1].headers.get("retry-AFTER") == "7"
    assert found[1].headers.get("X-Not-There") is None
    assert [(asked.path, asked.body) for asked in server.asked] == [("/a?b=c", b"{}")] * 3
    assert {asked.headers["x-mine"] for asked in server.asked} == {"1"}
    assert server.connections == 1


async def test_a_kept_connection_that_was_closed_meanwhile_is_no_failure(bulk: Bulk) -> None:
    with Loopback(in_turn(Answer(200, b"1"), DROP, Answer(200, b"2"))) as server:
        assert (await ask(bulk, server.url)).body == b"1"
        assert (await ask(bulk, server.url)).body == b"2"
        bulk.close()
    assert server.connections == 2


async def test_the_last_answer_of_a_connection_counts(bulk: Bulk) -> None:
    """A service that shuts down closes connections with its last responses."""
    last = Answer(200, b"last", {"Connection": "close"})
    with Loopback(in_turn(last, Answer(200, b"next"))) as server:
        assert [(await ask(bulk, server.url)).body for _ in range(2)] == [b"last", b"next"]
        bulk.close()
    assert len(server.asked) == server.connections == 2


async def test_without_an_answer_there_is_an_error(bulk: Bulk) -> None:
    with Loopback(in_turn(DROP)) as server, pytest.raises(ConnectionError):
        await ask(bulk, server.url)
    with pytest.raises(OSError, match=r"refused|failed"):
        await ask(bulk, f"http://127.0.0.1:{free_port()}")


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Server that reads requests and sends no response."""
    hold = asyncio.Event()

    async def keep(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"http://{host}:{port}"
    hold.set()
    server.close()
    await server.wait_closed()


async def test_an_answer_that_takes_too_long_is_given_up(bulk: Bulk) -> None:
    async with silent() as url:
        with pytest.raises(TimeoutError):
            await ask(bulk, url, timeout=0.1)


async def test_a_cancelled_call_ends_at_once_and_so_does_its_thread(bulk: Bulk) -> None:
    async with silent() as url:
        before = threading.active_count()
        calling = asyncio.create_task(ask(bulk, url))
        await asyncio.sleep(0.05)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        bulk.close()
        async with asyncio.timeout(WAIT_S):
            while threading.active_count() > before:  # noqa: ASYNC110  # threads have no event
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("token", ["a\r\nX-Injected: 1", "a\nb"])
async def test_a_line_break_in_a_header_is_refused_and_not_shown(bulk: Bulk, token: str) -> None:
    with Loopback(in_turn(Answer(200))) as server:
        with pytest.raises(ValueError, match="line break") as caught:
            await ask(bulk, server.url, Authorization=token)
        assert server.asked == []
    assert token not in str(caught.value)


async def test_what_comes_unasked_is_no_answer(bulk: Bulk) -> None:
    """A load balancer sends 408 on a connection that was idle for too long."""
    unasked = b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n"
    is_due, is_sent = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(HELLO)
        await is_due.wait()
        if not is_sent.is_set():
            writer.write(unasked)
            await writer.drain()
            is_sent.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    url = f"http://{host}:{port}"
    assert (await ask(bulk, url)).body == b"hello"
    is_due.set()
    await is_sent.wait()
    assert (await ask(bulk, url)).body == b"hello"
    bulk.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "answer",
    [
        HELLO.replace(b"Content-Length: 5\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n5\r\n")
        + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO,
        HELLO.replace(b"Content-Length: 5\r\n\r\n", b"Content-Length: 9\r\n\r\n\r\n \n"),
        HELLO.replace(b"Content-Length", b"CONTENT-length").replace(b": 5", b":   5"),
    ],
    ids=["chunked", "continue", "blank-lines-first", "odd-header"],
)
async def test_an_answer_of_any_form_is_read(bulk: Bulk, answer: bytes) -> None:
    async with scripted(answer, answer, answer) as url:
        for _ in range(3):
            found = await ask(bulk, url)
            assert (found.status, found.body.strip()) == (200, b"hello")


async def test_an_answer_without_a_length_ends_with_its_connection(bulk: Bulk) -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\nhello"
    async with scripted(endless, endless, is_closing=True) as url:
        for _ in range(2):
            assert (await ask(bulk, url)).body == b"hello"


async def test_an_answer_that_is_cut_is_an_error() -> None:
    network = Network(timeout_s=WAIT_S, retries=0)
    async with scripted(HELLO[:-1]) as url:
        with pytest.raises(UnreachedError, match="IncompleteRead"):
            await network.ask_bulk("POST", url, headers={}, content=b"{}", timeout=WAIT_S)
    await network.aclose()


async def test_a_context_reads_an_answer_of_any_form_and_asks_once() -> None:
    chunked = {"Transfer-Encoding": "chunked"}
    body = problem(404, "asset_not_found").body
    in_chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    def answer(_: Asked) -> Answer:
        return Answer(404, in_chunks, chunked)

    with Loopback(answer) as server:
        async with pc.ProcessingContext(base_url=server.url, token="t", user_id="u") as ctx:
            for _ in range(3):
                with pytest.raises(pc.NotFoundError, match="it is asset_not_found"):
                    await ctx.find_asset("x")
    assert len(server.asked) == 3  # no request was sent twice


async def test_a_refusal_before_a_large_body_was_sent_is_heard(bulk: Bulk) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    found = await ask(bulk, f"http://{host}:{port}", b"x" * 8_000_000)
    assert (found.status, found.body) == (413, b"no")
    server.close()
    await server.wait_closed()


async def test_a_service_that_is_not_there_may_be_asked_again() -> None:
    network = Network(timeout_s=WAIT_S, retries=0)
    with pytest.raises(UnreachedError) as caught:
        await network.ask_bulk(
            "GET", f"http://127.0.0.1:{free_port()}", headers={}, content=None, timeout=1
        )
    assert not caught.value.is_final
    await network.aclose()


async def test_calls_do_not_wait_for_transfers(bulk: Bulk) -> None:
    hold = threading.Event()
    transfers = [asyncio.create_task(bulk.run(hold.wait, WAIT_S)) for _ in range(20)]
    with Loopback(in_turn(Answer(200, b"hello"))) as server:
        assert (await ask(bulk, server.url)).body == b"hello"
        assert await bulk.read(server.url, 5) == b"hello"
        bulk.close()
    assert not any(transfer.done() for transfer in transfers)
    hold.set()
    await asyncio.gather(*transfers)


async def test_calls_of_a_closed_context_raise() -> None:
    with Loopback(in_turn(problem(404, "asset_not_found"))) as server:
        ctx = pc.ProcessingContext(base_url=server.url, token="t", user_id="u")
        async with ctx:
            with pytest.raises(pc.NotFoundError):
                await ctx.find_asset("x")
        for call in (ctx.find_asset("x"), ctx.get_job("x"), ctx.download_file(server.url)):
            with pytest.raises(pc.ContextError, match="closed"):
                await call
    assert len(server.asked) == 1
