"""Tests of the routes of assets: get, list, update, move, delete."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from processing_context.wire.assets import Asset
from tests.support.assets import fetch, journal, keys, make_asset, make_folder, names
from tests.support.services import Service, User

NOBODY = "0" * 32


async def test_an_asset_is_returned_as_it_was_created(user: User) -> None:
    metadata = {"a": [1, None, "\u0000", {"ä": 1.5}]}
    made = await make_asset(user, b"hello", name="n", content_type="text/plain", metadata=metadata)
    reply = await user.http.get(f"/v1/assets/{made.id}")
    got = reply.json()
    assert set(got) == set(Asset.model_fields)
    assert got["metadata"] == metadata
    assert got["user_id"] == user.id
    assert (got["size"], got["status"], got["content_type"]) == (5, "ready", "text/plain")
    assert got["sha256"] == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert got["created_at"].endswith("Z")
    assert got["job_id"] is None
    assert reply.headers["etag"]
    assert (await fetch(got["get_url"])).content == b"hello"


@pytest.mark.parametrize("id_", [NOBODY, "x", "A" * 32, "%00", "..%2F..%2Fetc", "é" * 300])
async def test_a_missing_asset_is_not_found(user: User, id_: str) -> None:
    for method, path in (
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/content"), ("HEAD", "/content"),
        ("PUT", "/content"), ("GET", "/url"), ("GET", "/upload"), ("DELETE", "/upload"),
        ("POST", "/complete"),
    ):  # fmt: skip
        body: dict[str, Any] = {"json": {}} if method in {"PATCH", "POST"} else {}
        reply = await user.http.request(method, f"/v1/assets/{id_}{path}", **body)
        assert reply.status_code == 404, (method, path, reply.text)


async def test_someone_elses_asset_is_not_found(user: User, other: User) -> None:
    theirs = await make_asset(other)
    ours = await user.http.get(f"/v1/assets/{NOBODY}")
    for method, path in (
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/content"), ("PUT", "/content"),
        ("GET", "/url"), ("GET", "/upload"), ("DELETE", "/upload"), ("POST", "/complete"),
    ):  # fmt: skip
        body: dict[str, Any] = {"json": {}} if method in {"PATCH", "POST"} else {}
        reply = await user.http.request(method, f"/v1/assets/{theirs.id}{path}", **body)
        assert reply.status_code == 404, (method, path)
        assert reply.json()["code"] == ours.json()["code"]
        assert reply.json()["detail"] == ours.json()["detail"].replace(NOBODY, theirs.id)
    reply = await user.http.get(f"/v1/storage/assets/{theirs.id}.txt")
    assert reply.status_code == 404
    reply = await user.http.post("/v1/urls", json={"asset_ids": [theirs.id]})
    assert reply.json() == {"urls": {}}
    assert (await other.http.get(f"/v1/assets/{theirs.id}/content")).content == b"hello"


async def test_a_filter_by_content_type_ignores_case_and_parameters(service: Service) -> None:
    async with await service.new_user() as user:
        await make_asset(user, name="n", content_type="Text/Plain; charset=utf-8")
        for wanted in ("text/plain", "TEXT/PLAIN", "text/plain; charset=latin-1", "text/", "Text/"):
            assert await names(user, content_type=wanted) == ["n"], wanted
        for other in ("text/html", "text/plainer", "image/"):
            assert await names(user, content_type=other) == [], other


async def test_a_list_is_filtered(service: Service) -> None:
    async with await service.new_user() as user:
        folder = await make_folder(user, "top")
        below = await make_folder(user, "below", folder.id)
        await make_asset(user, name="a_1.png", content_type="image/png", parent_id=folder.id)
        await make_asset(user, name="a%2.jpg", content_type="image/jpeg", parent_id=below.id)
        await make_asset(user, name="Äa1.txt", content_type="text/plain", workflow_id=NOBODY)
        assert await names(user) == ["Äa1.txt", "top"]
        assert await names(user, parent_id="") == ["Äa1.txt", "top"]
        assert await names(user, parent_id=folder.id) == ["a_1.png", "below"]
        assert await names(user, parent_id=folder.id, recursive=True) == [
            "a%2.jpg",
            "a_1.png",
            "below",
        ]
        assert await names(user, recursive=True, content_type="image/") == ["a%2.jpg", "a_1.png"]
        assert await names(user, recursive=True, content_type="image/png") == ["a_1.png"]
        assert await names(user, recursive=True, content_type="image") == []
        assert await names(user, recursive=True, content_type="imag_/") == []
        assert await names(user, recursive=True, content_type="folder") == ["below", "top"]
        assert await names(user, recursive=True, q="%") == ["a%2.jpg"]
        assert await names(user, recursive=True, q="_") == ["a_1.png"]
        assert await names(user, recursive=True, q="\\") == []
        assert await names(user, recursive=True, q="äA") == ["Äa1.txt"]
        assert await names(user, q="\x00") == []
        assert await names(user, workflow_id=NOBODY) == ["Äa1.txt"]
        assert await names(user, workflow_id="x\x00") == []
        assert await names(user, job_id=NOBODY, recursive=True) == []
        assert await names(user, parent_id=NOBODY) == []
        assert await names(user, surprise="ignored") == ["Äa1.txt", "top"]


async def test_a_list_has_urls_on_request(user: User) -> None:
    made = await make_asset(user, b"bytes")
    plain = (await user.http.get("/v1/assets")).json()["assets"][0]
    assert (plain["id"], plain["get_url"]) == (made.id, None)
    with_urls = (await user.http.get("/v1/assets?urls=true")).json()["assets"][0]
    assert (await fetch(with_urls["get_url"])).content == b"bytes"


async def test_pages_neither_skip_nor_repeat_under_inserts(service: Service) -> None:
    async with await service.new_user() as user:
        made = [(await make_asset(user, name=f"{n}")).id for n in range(5)]
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            query: dict[str, Any] = {"page_size": 2, "cursor": cursor}
            page = (await user.http.get("/v1/assets", params=query)).json()
            seen += [asset["id"] for asset in page["assets"]]
            cursor = page["next"]
            await make_asset(user, name="late")
        assert seen == made[::-1]


@pytest.mark.parametrize("cursor", ["x", "!!", "MTp4", "é"])
async def test_an_invalid_cursor_is_refused(user: User, cursor: str) -> None:
    reply = await user.http.get("/v1/assets", params={"cursor": cursor})
    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("size", [0, 1001, "x"])
async def test_a_page_size_has_limits(user: User, size: object) -> None:
    reply = await user.http.get("/v1/assets", params={"page_size": str(size)})
    assert reply.status_code == 422


async def test_a_patch_changes_only_the_given_fields(user: User) -> None:
    folder = await make_folder(user)
    made = await make_asset(user, name="a", metadata={"x": 1}, node_id="n")
    change = {"name": "b", "parent_id": folder.id}
    reply = await user.http.patch(f"/v1/assets/{made.id}", json=change)
    assert reply.status_code == 200
    got = reply.json()
    assert (got["name"], got["parent_id"]) == ("b", folder.id)
    assert (got["metadata"], got["node_id"]) == ({"x": 1}, "n")
    assert datetime.fromisoformat(got["updated_at"]) > datetime.fromisoformat(got["created_at"])
    moved = await user.http.patch(
        f"/v1/assets/{made.id}",
        json={"parent_id": None, "metadata": {}, "content_type": "image/png"},
    )
    assert moved.json()["parent_id"] is None
    assert (moved.json()["metadata"], moved.json()["content_type"]) == ({}, "image/png")
    served = await fetch(moved.json()["get_url"])
    assert served.headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    "change",
    [
        {"surprise": 1},
        {"name": ""},
        {"name": "a\x00"},
        {"name": "x" * 10_000},
        {"name": None},
        {"metadata": None},
        {"metadata": []},
        {"content_type": "folder"},
        {"content_type": "nonsense"},
        {"parent_id": NOBODY},
        {"parent_id": "\x00"},
        {"size": 3},
    ],
)
async def test_an_invalid_patch_is_refused(user: User, change: dict[str, Any]) -> None:
    made = await make_asset(user, name="a")
    reply = await user.http.patch(f"/v1/assets/{made.id}", json=change)
    assert reply.status_code == 422, reply.text
    assert (await user.http.get(f"/v1/assets/{made.id}")).json()["name"] == "a"


async def test_a_parent_must_be_a_folder_of_the_user(user: User, other: User) -> None:
    made = await make_asset(user)
    for parent in (await make_folder(other), await make_asset(user)):
        reply = await user.http.patch(f"/v1/assets/{made.id}", json={"parent_id": parent.id})
        assert (reply.status_code, reply.json()["code"]) == (422, "invalid_parent")


async def test_if_match_guards_a_patch_and_a_delete(user: User) -> None:
    made = await make_asset(user, name="a")
    path = f"/v1/assets/{made.id}"
    etag = (await user.http.get(path)).headers["etag"]
    first = await user.http.patch(path, json={"name": "b"}, headers={"If-Match": etag})
    assert first.status_code == 200
    assert first.headers["etag"] != etag
    for method in ("PATCH", "DELETE"):
        options: dict[str, Any] = {"json": {"name": "c"}} if method == "PATCH" else {}
        late = await user.http.request(method, path, headers={"If-Match": etag}, **options)
        assert late.status_code == 412
    current = {"If-Match": f'"other", {first.headers["etag"]}'}
    assert (await user.http.delete(path, headers=current)).status_code == 204


async def test_a_folder_cannot_be_moved_below_itself(user: User) -> None:
    top = await make_folder(user)
    middle = await make_folder(user, parent_id=top.id)
    low = await make_folder(user, parent_id=middle.id)
    for parent in (top, middle, low):
        reply = await user.http.patch(f"/v1/assets/{top.id}", json={"parent_id": parent.id})
        assert (reply.status_code, reply.json()["code"]) == (409, "move_below_itself")


async def test_two_folders_moved_into_each_other_make_no_circle(user: User) -> None:
    for _ in range(5):
        a, b = await make_folder(user), await make_folder(user)
        replies = await asyncio.gather(
            user.http.patch(f"/v1/assets/{a.id}", json={"parent_id": b.id}),
            user.http.patch(f"/v1/assets/{b.id}", json={"parent_id": a.id}),
        )
        assert sorted(reply.status_code for reply in replies) == [200, 409]


async def test_a_folder_that_is_not_empty_is_deleted_only_recursively(service: Service) -> None:
    async with await service.new_user() as user:
        top = await make_folder(user, "top")
        below = await make_folder(user, "below", top.id)
        file = await make_asset(user, b"deep", parent_id=below.id)
        kept = await make_asset(user, b"kept")
        reply = await user.http.delete(f"/v1/assets/{top.id}")
        assert (reply.status_code, reply.json()["code"]) == (409, "folder_not_empty")
        assert any(key.startswith(file.id) for key in await keys(service))
        reply = await user.http.delete(f"/v1/assets/{top.id}?recursive=true")
        assert reply.status_code == 204
        assert await names(user, recursive=True) == [kept.name]
        stored = await keys(service)
        assert not any(key.startswith(file.id) for key in stored)
        assert any(key.startswith(kept.id) for key in stored)
        assert await journal(service) == []


async def test_a_folder_that_fills_while_it_is_deleted_leaves_no_orphan(service: Service) -> None:
    async with await service.new_user() as user:
        for _ in range(5):
            folder = await make_folder(user)
            deleted, *made = await asyncio.gather(
                user.http.delete(f"/v1/assets/{folder.id}?recursive=true"),
                *(
                    user.http.post(
                        "/v1/assets",
                        files=[
                            ("json", (None, f'{{"parent_id":"{folder.id}"}}'.encode())),
                            ("file", ("a", b"x")),
                        ],
                    )
                    for _ in range(4)
                ),
            )
            assert deleted.status_code == 204
            assert {reply.status_code for reply in made} <= {201, 422}
        assert await names(user, recursive=True) == []
        assert await journal(service) == []


async def test_a_deleted_asset_and_its_bytes_are_not_found(service: Service, user: User) -> None:
    made = await make_asset(user)
    assert made.get_url
    assert (await user.http.delete(f"/v1/assets/{made.id}")).status_code == 204
    assert (await user.http.delete(f"/v1/assets/{made.id}")).status_code == 404
    assert (await user.http.get(f"/v1/assets/{made.id}/content")).status_code == 404
    assert (await fetch(made.get_url)).status_code == 404
    assert await journal(service) == []
