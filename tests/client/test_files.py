from __future__ import annotations

import base64
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import processing_context as pc
from processing_context import AssetRef, ImageRef, ProcessingContext
from processing_context.resources.temp import temp_id_of
from tests.support.loopback import Answer, Asked, Loopback, in_turn, problem

HEX = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("uri", "content"),
    [
        ("data:text/plain;base64,aGVsbG8=", b"hello"),
        ("data:;base64,aGVs\nbG8=", b"hello"),
        ("data:text/plain,a%20b%00%ff", b"a b\x00\xff"),
        ("data:,", b""),
        ("data:text/plain;charset=utf-8;BASE64,aGVsbG8%3D", b"hello"),
    ],
)
async def test_data_uris_are_read(uri: str, content: bytes) -> None:
    async with ProcessingContext() as ctx:
        assert (await ctx.download_file(uri)).read() == content


@pytest.mark.parametrize("uri", ["data:text/plain", "data:;base64,a", "data:;base64,!!!!"])
async def test_a_broken_data_uri_is_a_value_error(uri: str) -> None:
    async with ProcessingContext() as ctx:
        with pytest.raises(ValueError, match=r"data URI|base64"):
            await ctx.download_file(uri)


async def test_local_files_need_leave(tmp_path: Path) -> None:
    path = tmp_path / "with space.txt"
    path.write_bytes(b"local")
    async with ProcessingContext() as ctx:
        for url in (str(path), path.as_uri()):
            with pytest.raises(ValueError, match="allow_local_files"):
                await ctx.download_file(url)
    async with ProcessingContext(allow_local_files=True) as ctx:
        for url in (str(path), path.as_uri(), f"file://localhost{path.as_uri()[7:]}"):
            with await ctx.download_file(url) as file:
                assert file.read() == b"local"
        with pytest.raises(ValueError, match="another machine"):
            await ctx.download_file("file://elsewhere/etc/hosts")
        with pytest.raises(FileNotFoundError):
            await ctx.download_file(str(tmp_path / "none"))


@pytest.mark.parametrize("url", ["ftp://h/f", "relative/path", "javascript:alert(1)"])
async def test_other_urls_are_refused(url: str) -> None:
    async with ProcessingContext(allow_local_files=True) as ctx:
        with pytest.raises(ValueError, match="cannot download"):
            await ctx.download_file(url)


async def test_only_the_services_own_urls_get_its_token() -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(200, asked.headers.get("authorization", "none").encode())

    with Loopback(answer) as service, Loopback(answer) as other:
        async with ProcessingContext(base_url=service.url, token="t", user_id="u") as ctx:
            said = {
                url: (await ctx.download_file(url)).read()
                for url in (
                    ctx.temp_storage_url("x"),
                    "/v1/storage/assets/x",
                    f"{service.url}/elsewhere",
                    f"{other.url}/v1/storage/temp/x",
                )
            }
    assert list(said.values()) == [b"Bearer t", b"Bearer t", b"none", b"none"]


async def test_the_services_own_refusals_keep_their_class() -> None:
    with Loopback(in_turn(problem(410, "temp_expired"))) as service:
        async with ProcessingContext(base_url=service.url, token="t", user_id="u") as ctx:
            with pytest.raises(pc.NotFoundError) as caught:
                await ctx.download_file(ctx.temp_storage_url("x"))
    assert caught.value.code == "temp_expired"


async def test_another_server_is_retried_and_then_its_status_is_the_error() -> None:
    with Loopback(in_turn(Answer(503), Answer(200, b"x"))) as server:
        async with ProcessingContext() as ctx:
            assert (await ctx.download_file(server.url)).read() == b"x"
    with Loopback(in_turn(Answer(404))) as server:
        async with ProcessingContext() as ctx:
            with pytest.raises(pc.HTTPStatusError) as caught:
                await ctx.download_file(server.url)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    "ref",
    [
        ImageRef(data=b"bytes", asset_id="ignored", uri="ignored"),
        AssetRef(data=b"bytes"),
        SimpleNamespace(uri="", asset_id=None, data=bytearray(b"bytes")),
        {"type": "image", "data": b"bytes"},
        {"type": "image", "data": base64.b64encode(b"bytes").decode()},
        {"type": "asset", "uri": "data:,bytes"},
    ],
)
async def test_everything_of_the_shape_of_a_ref_is_read_data_first(ref: Any) -> None:
    async with ProcessingContext() as ctx:
        assert await ctx.asset_to_bytes(ref) == b"bytes"
        file = await ctx.asset_to_io(ref)
        assert file.seekable()
        assert file.read() == b"bytes"


async def test_empty_bytes_are_something() -> None:
    async with ProcessingContext() as ctx:
        assert await ctx.asset_to_bytes(ImageRef(data=b"", uri="data:,x")) == b""


@pytest.mark.parametrize("ref", [ImageRef(), {"type": "image"}, {"uri": "data:,x"}, "x", None, 3])
async def test_what_names_nothing_is_a_value_error(ref: Any) -> None:
    async with ProcessingContext() as ctx:
        with pytest.raises(ValueError, match="ref"):
            await ctx.asset_to_io(ref)


@pytest.mark.parametrize(
    "name",
    [
        f"{HEX}.png",
        HEX,
        f"/v1/storage/temp/{HEX}.png",
        f"https://s3.host/bucket/{HEX}.png?X-Amz-Signature=1/2",
        f"http://h/v1/temp/{HEX}.png/content",
    ],
)
def test_a_temporary_file_is_known_by_any_of_its_names(name: str) -> None:
    assert temp_id_of(name) in (HEX, f"{HEX}.png")


@pytest.mark.parametrize("name", ["x.png", f"{HEX}/other", f"{HEX}.p/ng", "http://h/"])
def test_other_names_are_no_temporary_file(name: str) -> None:
    with pytest.raises(ValueError, match="temp_id= is not an id or URL"):
        temp_id_of(name)


@pytest.mark.parametrize(
    ("content", "said"),
    [(io.StringIO("text"), "text mode"), (3, "int"), (None, "NoneType")],
)
async def test_content_of_the_wrong_type_is_named(content: Any, said: str) -> None:
    async with ProcessingContext(base_url="http://127.0.0.1:1", user_id="u") as ctx:
        with pytest.raises(ValueError, match=said):
            await ctx.create_asset("n", "text/plain", content)
        with pytest.raises(FileNotFoundError):
            await ctx.create_asset("n", "text/plain", "/does/not/exist")
        with pytest.raises(ValueError, match="create_folder"):
            await ctx.create_asset("n", "folder", b"")
        with pytest.raises(ValueError, match="content_type"):
            await ctx.create_asset("n", "no media type", b"")
