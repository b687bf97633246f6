"""Tests of downloads from a misbehaving server on loopback."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from app.http.problems import TooLarge
from app.outbound import UrlNotAllowed, UrlUnreachable
from tests.support.downloads import MAX_BYTES, downloader, get
from tests.support.misbehaving_server import Trickster, reply


async def test_a_download_has_the_headers_of_the_server(server: Trickster) -> None:
    server.answers["/a%20b?x=1"] = reply(
        b"data", Content_Type="text/csv", Content_Disposition='attachment; filename="ü.csv"'
    )
    download, content = await get(downloader(server), server.url("/a b?x=1#part"))
    assert content == b"data"
    assert (download.content_type, download.name) == ("text/csv", "ü.csv")


async def test_no_credentials_or_cookies_are_sent(
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


@pytest.mark.parametrize("status", [204, 206, 304, 400, 401, 404, 418, 500, 503])
async def test_an_error_status_is_in_the_message(server: Trickster, status: int) -> None:
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
async def test_a_malformed_response_is_an_error(server: Trickster, answer: bytes) -> None:
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
async def test_a_compressed_body_is_decompressed(
    server: Trickster, encoding: str, body: bytes
) -> None:
    server.answers["/"] = reply(body, Content_Encoding=encoding)
    assert (await get(downloader(server), server.url()))[1] == b"hello"


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "br", "application/x-gzip"])
@pytest.mark.parametrize(
    ("path", "headers", "name"),
    [
        ("/a.tar.gz", {}, None),
        ("/a.TGZ", {"Content_Type": "application/x-tar"}, None),
        ("/a", {"Content_Disposition": 'attachment; filename="a.tar.gz"'}, None),
        ("/a", {"Content_Type": "application/gzip"}, None),
        ("/a", {}, "a.tar.gz"),
    ],
)
async def test_a_compressed_file_keeps_its_bytes(
    server: Trickster, encoding: str, path: str, headers: dict[str, str], name: str | None
) -> None:
    packed = gzip.compress(b"a tar file", mtime=0)
    server.answers[path] = reply(packed, Content_Encoding=encoding, **headers)
    async with downloader(server).get(server.url(path), name=name) as download:
        content = b"".join([piece async for piece in download.body])
        assert content == packed
        assert download.content_type in (None, "application/gzip")


async def test_a_decompression_bomb_is_limited(server: Trickster) -> None:
    server.answers["/"] = reply(gzip.compress(bytes(200_000_000), 1), Content_Encoding="gzip")
    sizes: list[int] = []

    async def measure() -> None:
        async with downloader(server).get(server.url()) as download:
            async for piece in download.body:
                sizes.append(len(piece))  # noqa: PERF401

    with pytest.raises(TooLarge):
        await measure()
    assert 0 < max(sizes) <= 256 * 1024


async def test_a_file_of_a_declared_size_over_the_limit_is_refused(
    server: Trickster,
) -> None:
    server.answers["/"] = reply(b"x", Content_Length=str(MAX_BYTES + 1))
    with pytest.raises(TooLarge, match=str(MAX_BYTES)):
        async with downloader(server).get(server.url()):
            pytest.fail("the answer was accepted")


async def test_a_file_of_undeclared_size_is_limited(server: Trickster) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(65_536))
            await writer.drain()

    server.answers["/"] = endless
    with pytest.raises(TooLarge):
        await get(downloader(server), server.url())


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\nbegin"])
async def test_a_silent_server_ends_the_download(server: Trickster, sent: bytes) -> None:
    async def fall_silent(writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await asyncio.sleep(30)

    server.answers["/"] = fall_silent
    with pytest.raises(UrlUnreachable, match="in time"):
        await get(downloader(server, silence_s=0.2), server.url())


async def test_slow_headers_do_not_extend_the_time_limit(server: Trickster) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            writer.write(b"y")
            await writer.drain()
            await asyncio.sleep(0.05)

    server.answers["/"] = drip
    with pytest.raises(UrlUnreachable, match="in time"):
        await get(downloader(server, silence_s=0.4), server.url())


async def test_a_slow_body_is_limited_in_time(server: Trickster) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"y")
            await writer.drain()
            await asyncio.sleep(0.02)

    server.answers["/"] = drip
    with pytest.raises(UrlUnreachable, match="longer than the limit"):
        await get(downloader(server, whole_s=0.3), server.url())
