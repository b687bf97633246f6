"""Fetching, against a server on loopback that tries each trick."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio
import trustme

from app.http.problems import TooLarge
from app.outbound import Allowed, Download, Downloader, UrlNotAllowed, UrlUnreachable
from tests.support.misbehaving_server import Trickster, listening, redirect, reply

MAX_BYTES = 1_000_000


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Trickster]:
    async with listening() as trickster:
        yield trickster


def downloader(
    server: Trickster, *allow: str, tls: ssl.SSLContext | None = None, **options: float
) -> Downloader:
    """A downloader that goes to `files.example` (that is, to the server) and `allow`."""
    server.names.setdefault("files.example", [["127.0.0.1"]])
    allowed = Allowed.parse(["files.example", *allow])
    return Downloader(allowed, max_bytes=MAX_BYTES, resolver=server.resolve, tls=tls, **options)


async def get(one: Downloader, url: str) -> tuple[Download, bytes]:
    async with one.get(url) as download:
        return download, b"".join([piece async for piece in download.body])


async def test_a_file_comes_with_what_the_server_says_of_it(server: Trickster) -> None:
    server.answers["/a%20b?x=1"] = reply(
        b"data", Content_Type="text/csv", Content_Disposition='attachment; filename="ü.csv"'
    )
    download, content = await get(downloader(server), server.url("/a b?x=1#part"))
    assert content == b"data"
    assert (download.content_type, download.disposition) == (
        "text/csv",
        'attachment; filename="ü.csv"',
    )


async def test_nothing_of_ours_travels(
    server: Trickster, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / ".netrc"
    netrc.write_text("machine files.example login someone password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.answers["/"] = reply(b"", 302, Location="/next", Set_Cookie="a=b; Path=/")
    await get(downloader(server), server.url())
    assert len(server.requests) == 2
    for head in server.requests:
        names = {line.partition(":")[0].lower() for line in head.splitlines()[1:] if line}
        assert names == {"host", "user-agent", "accept", "accept-encoding", "connection"}
        assert f"Host: files.example:{server.port}\r\n" in head
        assert "Accept-Encoding: identity\r\n" in head


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
async def test_a_url_of_another_kind_is_refused_unresolved(server: Trickster, url: str) -> None:
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
async def test_an_address_inside_is_refused(server: Trickster, host: str) -> None:
    server.names["localhost"] = [["127.0.0.1", "::1"]]
    server.names["::ffff:7f00:1"] = [["127.0.0.1"]]
    with pytest.raises(UrlNotAllowed):
        await get(downloader(server), server.url(host=host))
    assert server.requests == []


async def test_one_inside_address_among_public_ones_is_refused(server: Trickster) -> None:
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
    """DNS that rebinds: the second answer is never asked for, nor by anything below us."""
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


async def test_the_next_address_is_tried_where_one_does_not_answer(server: Trickster) -> None:
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
    assert (content, download.url.path) == (b"there", "/6")
    with pytest.raises(UrlUnreachable, match="more than 5"):
        await get(downloader(server), server.url("/0"))


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 404, 418, 500, 503])
async def test_another_answer_than_a_file_is_named(server: Trickster, status: int) -> None:
    server.answers["/"] = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status
    with pytest.raises(UrlUnreachable, match=f"status {status}"):
        await get(downloader(server), server.url())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://[/\r\n\r\n",
        reply(b"not gzip", Content_Encoding="gzip"),
        reply(gzip.compress(b"x" * 1000, mtime=0)[:-9], Content_Encoding="gzip"),
        reply(b"x", Content_Encoding="br"),
    ],
)
async def test_a_broken_answer_is_no_file(server: Trickster, answer: bytes) -> None:
    server.answers["/"] = answer
    with pytest.raises((UrlUnreachable, UrlNotAllowed)) as refused:
        await get(downloader(server), server.url())
    assert "127.0.0.1" not in refused.value.detail


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"hel", mtime=0) + gzip.compress(b"lo", mtime=0)),
        ("GZIP", gzip.compress(b"hello", mtime=0)),
        ("deflate", zlib.compress(b"hello")),
        ("identity", b"hello"),
    ],
)
async def test_a_body_compressed_unasked_is_unpacked(
    server: Trickster, encoding: str, body: bytes
) -> None:
    server.answers["/"] = reply(body, Content_Encoding=encoding)
    assert (await get(downloader(server), server.url()))[1] == b"hello"


async def test_a_compressed_bomb_meets_the_limit_in_small_pieces(server: Trickster) -> None:
    server.answers["/"] = reply(gzip.compress(bytes(200_000_000), 1), Content_Encoding="gzip")
    sizes: list[int] = []

    async def measure() -> None:
        async with downloader(server).get(server.url()) as download:
            async for piece in download.body:
                sizes.append(len(piece))  # noqa: PERF401

    with pytest.raises(TooLarge):
        await measure()
    assert 0 < max(sizes) <= 256 * 1024


async def test_a_file_that_declares_too_much_is_refused_before_it_comes(
    server: Trickster,
) -> None:
    server.answers["/"] = reply(b"x", Content_Length=str(MAX_BYTES + 1))
    with pytest.raises(TooLarge, match=str(MAX_BYTES)):
        async with downloader(server).get(server.url()):
            pytest.fail("the answer was accepted")


async def test_a_file_that_hides_its_size_is_cut_off(server: Trickster) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(65_536))
            await writer.drain()

    server.answers["/"] = endless
    with pytest.raises(TooLarge):
        await get(downloader(server), server.url())


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\nbegin"])
async def test_silence_ends_the_fetch(server: Trickster, sent: bytes) -> None:
    async def fall_silent(writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await asyncio.sleep(30)

    server.answers["/"] = fall_silent
    with pytest.raises(UrlUnreachable, match="in time"):
        await get(downloader(server, silence_s=0.2), server.url())


async def test_a_header_that_drips_does_not_put_off_the_first_byte(server: Trickster) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            writer.write(b"y")
            await writer.drain()
            await asyncio.sleep(0.05)

    server.answers["/"] = drip
    with pytest.raises(UrlUnreachable, match="in time"):
        await get(downloader(server, silence_s=0.4), server.url())


async def test_a_body_that_drips_ends_some_time(server: Trickster) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"y")
            await writer.drain()
            await asyncio.sleep(0.02)

    server.answers["/"] = drip
    with pytest.raises(UrlUnreachable, match="too slowly"):
        await get(downloader(server, whole_s=0.3), server.url())


async def test_nobody_there_is_told_without_the_address(server: Trickster) -> None:
    server.names["away.example"] = [["127.0.0.9"]]
    with pytest.raises(UrlUnreachable) as refused:
        await get(downloader(server, "127.0.0.0/8"), server.url(host="away.example"))
    assert "127.0.0" not in refused.value.detail


async def test_a_name_without_address_is_told() -> None:
    async def nobody_knows(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such name")

    one = Downloader(Allowed(), max_bytes=1, resolver=nobody_knows)
    with pytest.raises(UrlUnreachable, match="no address of gone"):
        await get(one, "http://gone.example/")


async def test_names_are_resolved_by_the_system() -> None:
    one = Downloader(Allowed(), max_bytes=1)
    with pytest.raises(UrlNotAllowed):
        await get(one, "http://localhost/")


async def test_https_shows_and_checks_the_name_though_it_connects_to_an_address() -> None:
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
        with pytest.raises(UrlUnreachable, match="connected"):
            await get(one, trickster.url(scheme="https", host="other.example"))
        with pytest.raises(UrlUnreachable, match="connected"):
            await get(downloader(trickster), trickster.url(scheme="https"))
