"""Tests of archives."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile
from typing import Any

import httpx
import pytest

from app.assets.archive_names import safe_name
from tests.support.assets import make_asset, make_folder, s3
from tests.support.services import Service, User


async def archive(user: User, *ids: str) -> httpx.Response:
    return await user.http.post("/v1/assets/archive", json={"asset_ids": list(ids)})


async def contents(user: User, *ids: str) -> dict[str, bytes]:
    """Return the members of an archive of assets, in their order."""
    reply = await archive(user, *ids)
    assert reply.status_code == 200, reply.text
    with zipfile.ZipFile(io.BytesIO(reply.content)) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


async def test_files_have_their_names_and_bytes(user: User) -> None:
    large = os.urandom(3_000_000)
    first = await make_asset(user, large, name="ü 1.bin")
    second = await make_asset(user, b"", name="empty.txt")
    assert await contents(user, first.id, second.id) == {"ü 1.bin": large, "empty.txt": b""}
    reply = await archive(user, first.id)
    assert reply.headers["content-type"] == "application/zip"
    assert reply.headers["content-disposition"] == 'attachment; filename="assets.zip"'


async def test_a_folder_includes_everything_below_it(user: User) -> None:
    top = await make_folder(user, "top")
    inner = await make_folder(user, "inner", parent_id=top.id)
    await make_folder(user, "empty", parent_id=top.id)
    await make_asset(user, b"a", name="a.txt", parent_id=top.id)
    await make_asset(user, b"b", name="b.txt", parent_id=inner.id)
    alone = await make_asset(user, b"c", name="c.txt")
    assert await contents(user, top.id, alone.id, alone.id) == {
        "top/": b"",
        "top/a.txt": b"a",
        "top/inner/": b"",
        "top/inner/b.txt": b"b",
        "top/empty/": b"",
        "c.txt": b"c",
    }


async def test_equal_names_are_made_unique(user: User) -> None:
    folder = await make_folder(user, "x")
    given = ["a.txt", "A.TXT", "a (2).txt", "a.txt", "a/b", "a_b", "noext", "noext"]
    for name in given:
        await make_asset(user, name.encode(), name=name, parent_id=folder.id)
    other = await make_folder(user, "X")
    found = await contents(user, folder.id, other.id)
    assert len(found) == len(given) + 2
    assert len({name.casefold() for name in found}) == len(found)
    assert sorted(content.decode() for name, content in found.items() if name[-1] != "/") == (
        sorted(given)
    )


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("/etc/passwd", "_etc_passwd"),
        ("C:\\windows\\x", "C__windows_x"),
        ("..", "_"),
        (".", "_"),
        (" ", "_"),
        ("...", "_"),
        ("a\nb\x7f\u202etxt.exe", "a_b__txt.exe"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("lpt9 .x", "_lpt9 .x"),
        ("console.log", "console.log"),
        ("trailing. ", "trailing"),
        (".hidden", ".hidden"),
        ("u\u0308.txt", "ü.txt"),
    ],
)
def test_a_name_is_one_safe_path_component(name: str, safe: str) -> None:
    assert safe_name(name) == safe


@pytest.mark.parametrize("name", ["x" * 1000, "ü" * 1000 + ".tar.gz", "a." + "x" * 998])
def test_a_long_name_fits_every_file_system(name: str) -> None:
    safe = safe_name(name)
    assert 200 < len(safe.encode()) <= 240
    assert safe.endswith(".gz") == name.endswith(".gz")


async def test_a_missing_asset_is_refused_before_the_first_byte(user: User, other: User) -> None:
    mine = await make_asset(user, b"x", name="x")
    theirs = await make_asset(other, b"x", name="x")
    for missing in (theirs.id, "0" * 32, "x"):
        refused = await archive(user, mine.id, missing)
        assert (refused.status_code, refused.json()["code"]) == (404, "asset_not_found")
        assert refused.json()["detail"] == f"Asset {missing} was not found."


async def test_a_pending_asset_is_refused_and_left_out_of_folders(user: User) -> None:
    folder = await make_folder(user, "top")
    body = {"name": "x", "content_type": "a/b", "size": 1, "parent_id": folder.id}
    pending = (await user.http.post("/v1/assets/uploads", json=body)).json()["asset"]
    refused = await archive(user, pending["id"])
    assert (refused.status_code, refused.json()["code"]) == (409, "upload_incomplete")
    assert await contents(user, folder.id) == {"top/": b""}


async def test_a_corrupt_asset_is_refused(service: Service, user: User) -> None:
    folder = await make_folder(user, "top")
    made = await make_asset(user, b"x", name="x", parent_id=folder.id)
    pool = service.db.pool
    corrupt = pool.execute("update assets set status = 'corrupt' where id = $1", made.id)
    await service.run(corrupt)
    refused = await archive(user, folder.id)
    assert (refused.status_code, refused.json()["code"]) == (409, "asset_corrupt")
    assert made.id in refused.json()["detail"]


async def test_lost_bytes_truncate_the_zip(service: Service, user: User) -> None:
    first = await make_asset(user, os.urandom(1_000_000), name="x")
    lost = await make_asset(user, b"y", name="y")
    client, bucket = s3(service.settings), service.settings.s3_asset_bucket
    for item in client.list_objects(bucket, prefix=f"{lost.id}/", recursive=True):
        client.remove_object(bucket, str(item.object_name))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await archive(user, first.id, lost.id)


@pytest.mark.parametrize("body", [{}, {"asset_ids": []}, {"asset_ids": ["x"] * 1001}])
async def test_an_invalid_request_is_refused(user: User, body: dict[str, Any]) -> None:
    refused = await user.http.post("/v1/assets/archive", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "validation_error")


async def test_memory_does_not_grow_with_the_archive(user: User) -> None:
    """The service runs in this process, so its memory and that of the test are measured."""
    ids = [(await make_asset(user, os.urandom(16 * 1024**2), name=f"{n}")).id for n in range(4)]
    tracemalloc.start()
    try:
        count = 0
        body = {"asset_ids": ids}
        async with user.http.stream("POST", "/v1/assets/archive", json=body) as reply:
            async for piece in reply.aiter_raw():
                count += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count > 64 * 1024**2
    assert peak < 16 * 1024**2
