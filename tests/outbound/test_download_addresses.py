"""Tests of the addresses and redirects of downloads."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

import pytest
import trustme

from app.outbound import Allowed, Downloader, UrlNotAllowed, UrlUnreachable
from tests.support.downloads import downloader, get
from tests.support.misbehaving_server import Trickster, redirect, reply


@pytest.mark.parametrize(
    "url",
    [
        "",
        "files.example/x",
        "//files.example/x",
        "http:///x",
        "ftp://files.example/x",
        "file:///etc/passwd",
        "data:text/plain,x",
        "gopher://files.example/",
        "javascript:alert(1)",
        "http://someone:secret@files.example/",
        "http://someone@files.example/",
        "http://files.example:0/",
        "http://files.example:65536/",
        "http://files.example:x/",
        "http://files.example\\@127.0.0.1/",
        "http://files.exa\tmple/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://\uff10.\uff10.\uff10.\uff10/",
        "http://[::1%25lo]/",
        "http://[::1/",
        "http://[127.0.0.1]/",
        "http://%31%32%37.0.0.1/",
        "http://files.example/" + "x" * 10_000,
    ],
)
async def test_an_invalid_url_is_refused_without_resolving_it(server: Trickster, url: str) -> None:
    with pytest.raises(UrlNotAllowed):
        await get(downloader(server), url)
    assert server.looked_up == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "0.0.0.0",  # noqa: S104
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "LOCALHOST.",
        "127\u30020\u30020\u30021",
    ],
)
async def test_an_internal_address_is_refused(server: Trickster, host: str) -> None:
    server.names["localhost"] = [["127.0.0.1", "::1"]]
    server.names["::ffff:7f00:1"] = [["127.0.0.1"]]
    with pytest.raises(UrlNotAllowed):
        await get(downloader(server), server.url(host=host))
    assert server.requests == []


async def test_an_internal_address_among_public_ones_is_refused(server: Trickster) -> None:
    server.names["mixed.example"] = [["8.8.8.8", "127.0.0.1"]]
    with pytest.raises(UrlNotAllowed):
        await get(downloader(server), server.url(host="mixed.example"))


async def test_each_redirect_is_checked(server: Trickster) -> None:
    server.names["inside.example"] = [["127.0.0.1"]]
    for location in (
        server.url("/secret", host="inside.example"),
        server.url("/secret", host="127.0.0.1"),
        f"//inside.example:{server.port}/secret",
        f"http://me:secret@files.example:{server.port}/secret",
        "file:///etc/passwd",
        "data:,x",
        "http://2130706433/",
    ):
        server.answers["/"] = redirect(location)
        with pytest.raises(UrlNotAllowed):
            await get(downloader(server), server.url())
    assert not any("/secret" in head for head in server.requests)


async def test_a_name_that_changes_is_resolved_once_for_each_connection(server: Trickster) -> None:
    """DNS rebinding has no effect, because a name is resolved once per connection."""
    server.names["rebind.example"] = [["127.0.0.1"], ["10.255.255.1"]]
    _, content = await get(downloader(server, "127.0.0.0/8"), server.url(host="rebind.example"))
    assert content == b"hello"
    assert server.looked_up == ["rebind.example"]


async def test_a_name_that_changes_before_a_redirect_to_itself_is_checked_again(
    server: Trickster,
) -> None:
    server.names["rebind.example"] = [["127.0.0.1"], ["10.255.255.1"]]
    server.answers["/"] = redirect("/again")
    with pytest.raises(UrlNotAllowed):
        await get(downloader(server, "127.0.0.0/8"), server.url(host="rebind.example"))


async def test_the_next_address_is_tried_if_one_does_not_respond(server: Trickster) -> None:
    server.names["two.example"] = [["127.0.0.2", "127.0.0.1"]]
    _, content = await get(downloader(server, "127.0.0.0/8"), server.url(host="two.example"))
    assert content == b"hello"


async def test_five_redirects_are_followed_and_no_more(server: Trickster) -> None:
    for number in range(6):
        server.answers[f"/{number}"] = redirect(
            f"{number + 1}", status=[301, 302, 303, 307, 308][number % 5]
        )
    server.answers["/6"] = reply(b"there")
    download, content = await get(downloader(server), server.url("/1"))
    assert (content, download.name) == (b"there", "6")
    with pytest.raises(UrlUnreachable, match="more than 5"):
        await get(downloader(server), server.url("/0"))


async def test_a_refused_connection_does_not_reveal_the_address(server: Trickster) -> None:
    server.names["away.example"] = [["127.0.0.9"]]
    with pytest.raises(UrlUnreachable) as refused:
        await get(downloader(server, "127.0.0.0/8"), server.url(host="away.example"))
    assert "127.0.0" not in refused.value.detail


async def test_a_name_without_address_is_an_error() -> None:
    async def nobody_knows(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    one = Downloader(Allowed(), max_bytes=1, resolver=nobody_knows)
    with pytest.raises(UrlUnreachable, match=r"gone\.example cannot be resolved"):
        await get(one, "http://gone.example/")


async def test_names_are_resolved_by_the_system() -> None:
    one = Downloader(Allowed(), max_bytes=1)
    with pytest.raises(UrlNotAllowed):
        await get(one, "http://localhost/")


async def test_https_uses_the_name_for_sni_and_certificate() -> None:
    authority = trustme.CA()
    shown: list[str | None] = []
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("files.example").configure_cert(serving)
    serving.sni_callback = lambda _socket, name, _context: shown.append(name)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    trickster = Trickster()
    secure = await asyncio.start_server(trickster.serve, "127.0.0.1", 0, ssl=serving)
    trickster.port = secure.sockets[0].getsockname()[1]
    trickster.names["other.example"] = [["127.0.0.1"]]
    async with secure:
        one = downloader(trickster, "other.example", tls=trusting)
        _, content = await get(one, trickster.url(scheme="https", host="files.example."))
        assert content == b"hello"
        assert shown == ["files.example"]
        with pytest.raises(UrlUnreachable, match="cannot connect"):
            await get(one, trickster.url(scheme="https", host="other.example"))
        with pytest.raises(UrlUnreachable, match="cannot connect"):
            await get(downloader(trickster), trickster.url(scheme="https"))
