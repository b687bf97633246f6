"""Tests of copies of folders and files between assets and the local disk."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from processing_context import ProcessingContext
from processing_context._local_files import FreeNames, safe_name
from tests.support.services import Service, User

MIB = 1024 * 1024


@pytest_asyncio.fixture
async def ctx(service: Service, user: User) -> AsyncIterator[ProcessingContext]:
    async with ProcessingContext(base_url=service.url, token=user.token) as made:
        yield made


def tree(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes()
        for path in sorted(root.rglob("*"))
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "a.txt").write_bytes(b"a")
    (root / "nothing").write_bytes(b"")
    (root / "sub" / "ünï.png").write_bytes(os.urandom(2 * MIB))
    (root / "sub" / "large").write_bytes(os.urandom(17 * MIB))
    return root


async def test_a_folder_comes_back_as_it_was(
    ctx: ProcessingContext, folder: Path, tmp_path: Path
) -> None:
    up: list[tuple[int, int]] = []
    down: list[tuple[int, int]] = []
    top = await ctx.upload_folder(folder, progress=lambda *both: up.append(both))
    assert (top.name, top.content_type) == ("photos", "folder")
    into = tmp_path / "new" / "copy"
    saved = await ctx.download_folder(top.id, into, progress=lambda *both: down.append(both))
    assert saved == into
    assert tree(into) == tree(folder)
    size = 19 * MIB + 1
    assert up[-1] == down[-1] == (size, size)
    assert up == sorted(up)
    found = {asset.name: asset async for asset in ctx.iter_assets(recursive=True)}
    assert found["a.txt"].content_type == "text/plain"
    assert found["ünï.png"].content_type == "image/png"


async def test_a_folder_can_go_into_another_and_be_named_by_a_dot(
    ctx: ProcessingContext, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = await ctx.create_folder("parent")
    monkeypatch.chdir(folder)
    top = await ctx.upload_folder(".", parent.id)
    assert (top.name, top.parent_id) == ("photos", parent.id)


async def test_links_are_left_out_and_named(
    ctx: ProcessingContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, outside = tmp_path / "f", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    root.mkdir()
    (root / "to_folder").symlink_to(outside)
    (root / "to_file").symlink_to(outside / "secret")
    (root / "to_itself").symlink_to(root)
    os.mkfifo(root / "pipe")
    (root / "real").write_bytes(b"real")
    top = await ctx.upload_folder(root)
    assert [asset.name async for asset in ctx.iter_assets(parent_id=top.id)] == ["real"]
    for name in ("to_folder", "to_file", "to_itself", "pipe"):
        assert name in caplog.text


async def test_names_that_lead_elsewhere_stay_inside(
    ctx: ProcessingContext, tmp_path: Path
) -> None:
    top = await ctx.create_folder("top")
    dots = await ctx.create_folder("..", top.id)
    await ctx.create_asset("in it", "text/plain", b"1", dots.id)
    for name in ("../../escaped", "/etc/passwd", "a\\b", "nul", "same", "same", "Same"):
        await ctx.create_asset(name, "text/plain", name.encode(), top.id)
    into = tmp_path / "deep" / "down"
    await ctx.download_folder(top.id, into)
    assert set(tree(into)) == {
        "%2E%2E", "%2E%2E/in it", "..%2F..%2Fescaped", "%2Fetc%2Fpasswd", "a%5Cb", "%6Eul",
        "Same", "same (2)", "same (3)",
    }  # fmt: skip
    assert all(name.startswith("deep") for name in tree(tmp_path))


async def test_what_exists_is_neither_overwritten_nor_touched(
    ctx: ProcessingContext, folder: Path, tmp_path: Path
) -> None:
    top = await ctx.upload_folder(folder)
    into = tmp_path / "into"
    into.mkdir()
    (into / "a.txt").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"a\.txt"):
        await ctx.download_folder(top.id, into)
    assert tree(into) == {"a.txt": b"mine"}
    await ctx.download_folder(top.id, into, on_existing="skip")
    assert tree(into) == {**tree(folder), "a.txt": b"mine"}
    await ctx.download_folder(top.id, into, on_existing="overwrite")
    assert tree(into) == tree(folder)


async def test_a_link_in_the_way_is_not_followed(
    ctx: ProcessingContext, folder: Path, tmp_path: Path
) -> None:
    top = await ctx.upload_folder(folder)
    into, outside = tmp_path / "into", tmp_path / "outside"
    into.mkdir()
    outside.mkdir()
    (into / "sub").symlink_to(outside)
    for how in ("fail", "skip", "overwrite"):
        with pytest.raises(FileExistsError, match="link"):
            await ctx.download_folder(top.id, into, on_existing=how)
    assert tree(outside) == {}


async def test_one_file_is_saved(ctx: ProcessingContext, tmp_path: Path) -> None:
    content = os.urandom(17 * MIB)
    asset = await ctx.create_asset("a/b.bin", "a/b", content)
    saved = await ctx.save_asset(asset.id, tmp_path)
    assert saved == tmp_path / "a%2Fb.bin"
    assert saved.read_bytes() == content
    with pytest.raises(FileExistsError):
        await ctx.save_asset(asset.id, tmp_path)
    saved.write_bytes(b"mine")
    assert await ctx.save_asset(asset.id, saved, on_existing="skip") == saved
    assert saved.read_bytes() == b"mine"
    await ctx.save_asset(asset.id, saved, on_existing="overwrite")
    assert saved.read_bytes() == content
    assert list(tree(tmp_path)) == [saved.name]


async def test_a_download_that_fails_leaves_no_file(ctx: ProcessingContext, tmp_path: Path) -> None:
    asset = await ctx.create_asset("f", "a/b", os.urandom(17 * MIB))

    def progress(*_: int) -> None:
        raise KeyError("stop")

    with pytest.raises(KeyError):
        await ctx.save_asset(asset.id, tmp_path / "f", progress=progress)
    assert tree(tmp_path) == {}


async def test_what_is_no_folder_is_said(ctx: ProcessingContext, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    for path in (file, tmp_path / "absent"):
        with pytest.raises(NotADirectoryError):
            await ctx.upload_folder(path)
    asset = await ctx.create_asset("f", "a/b", b"x")
    with pytest.raises(ValueError, match="save_asset"):
        await ctx.download_folder(asset.id, tmp_path)
    assert (await ctx.list_assets(content_type="folder")).assets == []


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("plain.txt", "plain.txt"), (".", "%2E"), ("..", "%2E%2E"), ("...", "..%2E"),
        ("a/b", "a%2Fb"), ("c:\\x", "c%3A%5Cx"), ("a\nb\x00", "a%0Ab%00"), ("end. ", "end.%20"),
        ("CON", "%43ON"), ("com1.txt", "%63om1.txt"), ("console", "console"), (".dot", ".dot"),
    ],
)  # fmt: skip
def test_names_become_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("ü" * 200 + ".jpeg", "ü.jpeg"),
        ("x" * 300, "x"),
        ("a." + "b" * 300, "b"),
        ("你" * 90 + ".txt", "你.txt"),
    ],
)
def test_a_long_name_is_shortened_and_keeps_its_extension(name: str, end: str) -> None:
    assert safe_name("x" * 255) == "x" * 255
    assert 250 <= len(safe_name(name).encode()) <= 255
    assert safe_name(name).endswith(end)
    free_names = FreeNames()
    names = [free_names.add(safe_name(name)) for _ in range(12)]
    assert len(set(names)) == 12
    assert all(len(free.encode()) <= 255 for free in names)


@pytest.mark.parametrize(
    "names",
    [
        ["a.txt"] * 40_000,
        ["x" * 300] * 40_000,
        ["x" * 251 + f"{number:04}" for number in range(5000)] * 4,
    ],
)
def test_many_equal_names_take_time_in_proportion(names: list[str]) -> None:
    free_names = FreeNames()
    begun = time.thread_time()
    found = {free_names.add(safe_name(name)).casefold() for name in names}
    assert len(found) == len(names)
    assert time.thread_time() - begun < 20, "comparing each name with all others takes minutes"


async def test_a_folder_with_long_names_is_downloaded(
    ctx: ProcessingContext, tmp_path: Path
) -> None:
    folder = await ctx.create_folder("sentences")
    for name in ("画像の説明文" * 40 + ".txt", "画像の説明文" * 40 + ".txt", "short.txt"):
        await ctx.create_asset(name, "text/plain", name.encode(), folder.id)
    await ctx.download_folder(folder.id, tmp_path)
    found = await asyncio.to_thread(lambda: sorted(tmp_path.iterdir()))
    assert len(found) == 3
    assert all(path.suffix == ".txt" for path in found)
