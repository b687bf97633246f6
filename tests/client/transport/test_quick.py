"""Short calls in the loop, and what is left to the byte path."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from processing_context._transport.network import Network, UnreachedError
from processing_context._transport.quick import QuickCalls
from tests.support.loopback import DROP, Answer, Asked, Loopback, in_turn, problem
from tests.support.services import WAIT_S, free_port


async def _no_certificates() -> Any:
    raise AssertionError("nothing here is encrypted")


def calls() -> QuickCalls:
    return QuickCalls(timeout_s=WAIT_S, certificates=_no_certificates)


async def ask(quick: QuickCalls, url: str, body: bytes | None = b"{}") -> Any:
    return await quick.exchange("POST", url, {"X-Mine": "1"}, body, timeout_s=WAIT_S)


async def test_an_answer_comes_whatever_its_status_with_its_headers() -> None:
    answers = [Answer(200, b"yes"), problem(503, "away", Retry_After="7"), Answer(204)]
    quick = calls()
    with Loopback(in_turn(*answers)) as server:
        found = [await ask(quick, f"{server.url}/a?b=c") for _ in answers]
        await quick.aclose()
    assert [each.status for each in found] == [200, 503, 204]
    assert found[0].body == b"yes"
    assert found[1].headers.get("retry-AFTER") == "7"
    assert found[1].headers.get("X-Not-There") is None
    assert [(asked.path, asked.body) for asked in server.asked] == [("/a?b=c", b"{}")] * 3
    assert {asked.headers["x-mine"] for asked in server.asked} == {"1"}
    assert server.connections == 1


async def test_a_kept_connection_that_was_closed_meanwhile_is_no_failure() -> None:
    quick = calls()
    with Loopback(in_turn(Answer(200, b"1"), DROP, Answer(200, b"2"))) as server:
        assert (await ask(quick, server.url)).body == b"1"
        assert (await ask(quick, server.url)).body == b"2"
        await quick.aclose()
    assert server.connections == 2


async def test_the_last_answer_of_a_connection_counts() -> None:
    """A service that is going says so with its last answers."""
    quick = calls()
    last = Answer(200, b"last", {"Connection": "close"})
    with Loopback(in_turn(last, Answer(200, b"next"))) as server:
        assert [(await ask(quick, server.url)).body for _ in range(2)] == [b"last", b"next"]
        await quick.aclose()
    assert len(server.asked) == server.connections == 2


async def test_without_an_answer_there_is_an_error() -> None:
    quick = calls()
    with Loopback(in_turn(DROP)) as server, pytest.raises(EOFError):
        await ask(quick, server.url)
    with pytest.raises(OSError, match=r"refused|failed"):
        await ask(quick, f"http://127.0.0.1:{free_port()}")


async def test_an_answer_that_takes_too_long_is_given_up() -> None:
    quick = calls()
    hold = asyncio.Event()

    async def keep(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    with pytest.raises(TimeoutError):
        await quick.exchange("GET", f"http://{host}:{port}", {}, None, timeout_s=0.1)
    hold.set()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("token", ["a\r\nX-Injected: 1", "a\nb"])
async def test_a_line_break_in_a_header_is_refused(token: str) -> None:
    quick = calls()
    with pytest.raises(ValueError, match="line break"):
        await quick.exchange("GET", "http://127.0.0.1:9/", {"A": token}, None, timeout_s=1)


async def test_what_comes_unasked_is_no_answer() -> None:
    """A balancer's 408 on a connection that was idle for too long."""
    unasked = b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n"
    told = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await told.wait()
        writer.write(unasked)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    quick = calls()
    url = f"http://{host}:{port}"
    assert (await ask(quick, url)).body == b"ok"
    told.set()
    [line] = next(iter(quick._idle.values()))
    async with asyncio.timeout(WAIT_S):
        while line.is_idle:  # noqa: ASYNC110  # it has come when it has come
            await asyncio.sleep(0.01)
    assert (await ask(quick, url)).body == b"ok"
    await quick.aclose()
    server.close()
    await server.wait_closed()


async def test_what_is_not_plain_is_left_to_the_byte_path() -> None:
    chunked = {"Transfer-Encoding": "chunked"}

    def answer(_: Asked) -> Answer:
        return Answer(200, b"5\r\nhello\r\n0\r\n\r\n", chunked)

    network = Network(timeout_s=WAIT_S, retries=0)
    with Loopback(answer) as server:
        for _ in range(3):
            found = await network.ask_quickly(
                "POST", server.url, headers={}, content=b"{}", timeout=WAIT_S
            )
            assert (found.status, found.body) == (200, b"hello")
        await network.aclose()
    assert len(server.asked) == 4  # twice only where it was found out


async def test_a_refusal_before_a_large_body_was_sent_is_heard() -> None:
    """Seen by the byte path: a loop that writes never gets to read."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    network = Network(timeout_s=WAIT_S, retries=0)
    found = await network.ask_quickly(
        "POST", f"http://{host}:{port}", headers={}, content=b"x" * 8_000_000, timeout=WAIT_S
    )
    assert (found.status, found.body) == (413, b"no")
    await network.aclose()
    server.close()
    await server.wait_closed()


async def test_nobody_there_is_said_once() -> None:
    network = Network(timeout_s=WAIT_S, retries=0)
    with pytest.raises(UnreachedError) as caught:
        await network.ask_quickly(
            "GET", f"http://127.0.0.1:{free_port()}", headers={}, content=None, timeout=1
        )
    assert not caught.value.is_final
    await network.aclose()
