"""Tests of archives that are unpacked while they are received, and of many files."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Any

import pytest

from app.assets.archive_names import MAX_PATHS_BYTES, UniqueNames
from app.runtime.ids import new_id
from tests.support.assets import make_asset, make_folder
from tests.support.loop_watcher import watched_loop
from tests.support.services import Service, User

MANY = 6_000
_HEADER = struct.Struct("<4sHHHHHLLLHH")
_DESCRIPTOR = struct.Struct("<4sLLL")


def unpacked(data: bytes) -> dict[str, bytes]:
    """Read a zip from its beginning, as readers of streams do, without its directory."""
    found = {}
    at = 0
    while data[at : at + 4] == b"PK\x03\x04":
        _, _, flags, method, _, _, crc, packed, size, name_bytes, extra = _HEADER.unpack_from(
            data, at
        )
        at += _HEADER.size
        name = data[at : at + name_bytes].decode()
        at += name_bytes + extra
        if flags & 8:
            assert method == zipfile.ZIP_DEFLATED, "the length of a stored entry is not known"
            inflater = zlib.decompressobj(-15)
            content = inflater.decompress(data[at:]) + inflater.flush()
            at = len(data) - len(inflater.unused_data)
            signature, crc, packed, size = _DESCRIPTOR.unpack_from(data, at)
            assert signature == b"PK\x07\x08"
            at += _DESCRIPTOR.size
        else:
            content = data[at : at + packed]
            at += packed
        assert (crc, size) == (zlib.crc32(content), len(content))
        found[name] = content
    assert data[at : at + 4] == b"PK\x01\x02"
    return found


async def archive(user: User, *ids: str) -> bytes:
    reply = await user.http.post("/v1/assets/archive", json={"asset_ids": list(ids)})
    assert reply.status_code == 200, reply.text
    return reply.content


async def insert_many(service: Service, user: User, folder_id: str, **columns: Any) -> None:
    """Insert `MANY` empty folders with the same name into a folder."""
    values = {"name": "a", "content_type": "folder", **columns}
    await service.run(
        service.db.pool.executemany(
            """
insert into assets (id, user_id, parent_id, name, search_name, content_type, size, status, metadata)
values ($1, $2, $3, $4, 'a', $5, 0, 'ready', '{}')""",
            [
                (new_id(), user.id, folder_id, values["name"], values["content_type"])
                for _ in range(MANY)
            ],
        )
    )


async def test_an_archive_can_be_unpacked_as_a_stream(user: User) -> None:
    folder = await make_folder(user, "top")
    await make_folder(user, "empty", parent_id=folder.id)
    files = {"a.txt": b"text", "ü.bin": bytes(range(256)) * 3000, "none": b""}
    for name, content in files.items():
        await make_asset(user, content, name=name, parent_id=folder.id)
    data = await archive(user, folder.id)
    assert unpacked(data) == {
        "top/": b"",
        "top/empty/": b"",
        **{f"top/{name}": content for name, content in files.items()},
    }
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
    assert len(data) < sum(map(len, files.values())) * 1.01 + 2000, "bytes are not expanded"


async def test_equal_names_of_many_files_do_not_hold_the_loop(service: Service, user: User) -> None:
    folder = await make_folder(user, "top")
    await archive(user, folder.id)
    await insert_many(service, user, folder.id)
    async with watched_loop(service):
        names = unpacked(await archive(user, folder.id))
    assert len(names) == MANY + 1
    assert {"top/a/", "top/a (2)/", f"top/a ({MANY})/"} <= names.keys()


async def test_long_names_of_many_files_do_not_hold_the_loop(service: Service, user: User) -> None:
    folder = await make_folder(user, "top")
    await archive(user, folder.id)
    await insert_many(service, user, folder.id, name="ü\x7f" * 500)
    async with watched_loop(service):
        await archive(user, folder.id)


async def test_paths_of_many_levels_are_limited_together(service: Service, user: User) -> None:
    top = folder = await make_folder(user, "x" * 240)
    for _ in range(MAX_PATHS_BYTES // MANY // 240 + 1):
        folder = await make_folder(user, "x" * 240, parent_id=folder.id)
    await insert_many(service, user, folder.id)
    reply = await user.http.post("/v1/assets/archive", json={"asset_ids": [top.id]})
    assert reply.status_code == 413


@pytest.mark.parametrize(
    ("given", "unique"),
    [
        (["a.txt"] * 3, ["a.txt", "a (2).txt", "a (3).txt"]),
        (["a", "a (2)", "a", "a"], ["a", "a (2)", "a (3)", "a (4)"]),
        (["a", "a", "a (2)"], ["a", "a (2)", "a (2) (2)"]),
        (["A.txt", "a.TXT"], ["A.txt", "a (2).TXT"]),
        ([".x", ".x"], [".x", ".x (2)"]),
    ],
)
def test_names_of_a_folder_are_unique(given: list[str], unique: list[str]) -> None:
    names = UniqueNames()
    assert [names.add(name) for name in given] == unique
