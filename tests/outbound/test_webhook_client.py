"""Tests of the webhook client with a misbehaving server on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

import pytest
import trustme

from app.outbound import Allowed, Answer, UrlNotAllowed, UrlUnreachable, WebhookClient
from tests.support.misbehaving_server import Trickster, redirect, reply
from tests.support.receivers import receiving


def webhook_client(
    server: Trickster, *allow: str, timeout_s: float = 60, check_s: float = 60
) -> WebhookClient:
    """Return a webhook client that may connect to `files.example`, the server, and to `allow`."""
    allowed = Allowed.parse(["files.example", *allow])
    return WebhookClient(allowed, timeout_s=timeout_s, check_s=check_s, resolver=server.resolve)


async def post(client: WebhookClient, url: str) -> Answer:
    return await client.post(url, b"{}", {"Content-Type": "application/json"})


async def test_body_and_headers_are_sent_without_credentials() -> None:
    async with receiving() as receiver:
        client = WebhookClient(Allowed.parse(["127.0.0.1"]), timeout_s=60)
        body = b"\x00" * 500_000
        answer = await client.post(receiver.url("/a?b=c"), body, {"X-Of-Test": "yes"})
        assert (answer.status_code, answer.body, answer.retry_after) == (200, b"thanks", None)
        [request] = receiver.received
        assert (request.method, request.path, request.body) == ("POST", "/a?b=c", body)
        assert request.headers == {
            "host": f"127.0.0.1:{receiver.port}",
            "user-agent": "processing-context",
            "accept": "*/*",
            "accept-encoding": "identity",
            "connection": "close",
            "content-length": "500000",
            "x-of-test": "yes",
        }


async def test_a_redirect_is_not_followed(server: Trickster) -> None:
    server.answers["/"] = redirect("http://inside.example/", 307)
    answer = await post(webhook_client(server), server.url())
    assert answer.status_code == 307
    assert server.looked_up == ["files.example"]
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "nothing",
        "ftp://files.example/",
        "http://me@files.example/",
        "http://127.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/",
        "http://2130706433/",
        "http://inside.example/",
        "http://mixed.example/",
    ],
)
async def test_a_url_of_an_internal_address_is_refused(server: Trickster, url: str) -> None:
    server.names["inside.example"] = [["10.0.0.1"]]
    server.names["mixed.example"] = [["8.8.8.8", "127.0.0.1"]]
    with pytest.raises(UrlNotAllowed):
        await webhook_client(server).check(url)
    with pytest.raises(UrlNotAllowed):
        await post(webhook_client(server), url)
    assert server.requests == []


async def test_a_name_is_checked_again_when_it_is_used(server: Trickster) -> None:
    server.names["moving.example"] = [["8.8.8.8"], ["127.0.0.1"]]
    client = webhook_client(server)
    await client.check(server.url(host="moving.example"))
    with pytest.raises(UrlNotAllowed):
        await post(client, server.url(host="moving.example"))
    assert server.requests == []


async def test_a_check_accepts_names_that_cannot_be_resolved(server: Trickster) -> None:
    async def unknown(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    async def silent(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    await webhook_client(server).check("http://8.8.8.8/")
    for resolver in (unknown, silent):
        client = WebhookClient(Allowed(), timeout_s=60, check_s=0.1, resolver=resolver)
        await client.check("http://later.example/")


async def test_a_server_that_does_not_respond_is_an_error(server: Trickster) -> None:
    over = asyncio.Event()

    async def hang(_writer: asyncio.StreamWriter) -> None:
        await over.wait()

    async def break_off(writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server.answers |= {"/hang": hang, "/break": break_off, "/odd": b"hello\r\n\r\n"}
    with pytest.raises(UrlUnreachable, match="in time"):
        await post(webhook_client(server, timeout_s=0.5), server.url("/hang"))
    for path in ("/break", "/odd"):
        with pytest.raises(UrlUnreachable, match="malformed or truncated"):
            await post(webhook_client(server), server.url(path))
    with pytest.raises(UrlUnreachable, match="cannot connect"):
        await post(webhook_client(server, "127.0.0.1"), "http://127.0.0.1:1/")
    over.set()


async def test_only_the_beginning_of_a_body_is_read(server: Trickster) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 500 No\r\nRetry-After: 7\r\n\r\n")
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    async def short(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes!")
        await writer.drain()

    server.answers |= {"/endless": endless, "/short": short}
    assert await post(webhook_client(server), server.url("/endless")) == Answer(
        500, "7", b"x" * 4096
    )
    assert await post(webhook_client(server), server.url("/short")) == Answer(
        200, None, b"ten bytes!"
    )


async def test_a_missing_body_does_not_fail_the_delivery(server: Trickster) -> None:
    over = asyncio.Event()

    async def only_headers(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes!")
        await over.wait()

    server.answers["/"] = only_headers
    for timeout_s in (0.5, 5, 30):
        try:
            answer = await post(webhook_client(server, timeout_s=timeout_s), server.url())
        except UrlUnreachable:  # on a busy machine even the headers may exceed the time limit
            continue
        break
    else:
        pytest.fail("there was no answer")
    over.set()
    assert answer == Answer(200, None, b"ten bytes!")


async def test_a_certificate_of_another_name_is_refused(server: Trickster) -> None:
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(ours)
    authority.issue_cert("files.example").configure_cert(theirs)
    tls_server = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=theirs)
    server.port = tls_server.sockets[0].getsockname()[1]
    server.answers["/"] = reply(b"safe")
    server.names["other.example"] = [["127.0.0.1"]]
    client = WebhookClient(
        Allowed.parse(["files.example", "other.example"]),
        timeout_s=60,
        resolver=server.resolve,
        tls=ours,
    )
    async with tls_server:
        assert (await post(client, server.url(scheme="https"))).body == b"safe"
        with pytest.raises(UrlUnreachable):
            await post(client, server.url(scheme="https", host="other.example"))
