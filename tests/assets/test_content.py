"""Tests of the content of assets: ranges, conditional requests, headers, presigned URLs."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.support.assets import fetch, journal, keys, make_asset, make_folder
from tests.support.services import Service, User

BYTES = bytes(range(100))


@pytest.mark.parametrize(
    ("header", "status", "start", "end"),
    [
        (None, 200, 0, 100),
        ("bytes=0-9", 206, 0, 10),
        ("bytes=90-", 206, 90, 100),
        ("bytes=95-1000", 206, 95, 100),
        ("bytes=-5", 206, 95, 100),
        ("bytes=-1000", 206, 0, 100),
        ("bytes=99-99", 206, 99, 100),
        ("bytes=0-9,20-29", 200, 0, 100),
        ("bytes=9-0", 200, 0, 100),
        ("bytes=-", 200, 0, 100),
        ("bytes=x-y", 200, 0, 100),
        ("items=0-9", 200, 0, 100),
        (f"bytes=0-{'9' * 5000}", 200, 0, 100),
    ],
)
async def test_a_range_is_served(
    user: User, header: str | None, status: int, start: int, end: int
) -> None:
    made = await make_asset(user, BYTES)
    headers = {"Range": header} if header else {}
    reply = await user.http.get(f"/v1/assets/{made.id}/content", headers=headers)
    assert reply.status_code == status
    assert reply.content == BYTES[start:end]
    assert reply.headers["accept-ranges"] == "bytes"
    expected = f"bytes {start}-{end - 1}/100" if status == 206 else None
    assert reply.headers.get("content-range") == expected


@pytest.mark.parametrize(
    ("content", "header"),
    [(BYTES, "bytes=100-"), (BYTES, "bytes=-0"), (b"", "bytes=0-"), (b"", "bytes=-5")],
)
async def test_a_range_beyond_the_end_is_not_satisfiable(
    user: User, content: bytes, header: str
) -> None:
    made = await make_asset(user, content)
    reply = await user.http.get(f"/v1/assets/{made.id}/content", headers={"Range": header})
    assert (reply.status_code, reply.json()["code"]) == (416, "range_not_satisfiable")
    assert reply.headers["content-range"] == f"bytes */{len(content)}"


async def test_an_empty_file_can_be_stored_and_read(user: User) -> None:
    made = await make_asset(user, b"")
    reply = await user.http.get(f"/v1/assets/{made.id}/content")
    assert (reply.status_code, reply.content) == (200, b"")
    assert made.get_url
    assert (await fetch(made.get_url)).content == b""


async def test_if_range_sends_the_complete_bytes_of_another_version(user: User) -> None:
    made = await make_asset(user, BYTES)
    path = f"/v1/assets/{made.id}/content"
    etag = (await user.http.head(path)).headers["etag"]
    same = await user.http.get(path, headers={"Range": "bytes=0-0", "If-Range": etag})
    assert (same.status_code, same.content) == (206, BYTES[:1])
    for other in ('"x"', f"W/{etag}", "Sun, 22 Nov 2026 17:00:00 GMT"):
        reply = await user.http.get(path, headers={"Range": "bytes=0-0", "If-Range": other})
        assert (reply.status_code, reply.content) == (200, BYTES)


async def test_if_none_match_saves_the_bytes(user: User) -> None:
    made = await make_asset(user, BYTES)
    path = f"/v1/assets/{made.id}/content"
    etag = (await user.http.get(path)).headers["etag"]
    for value in (etag, f'"x", W/{etag}', "*"):
        reply = await user.http.get(path, headers={"If-None-Match": value})
        assert (reply.status_code, reply.content) == (304, b"")
        assert reply.headers["etag"] == etag
    assert (await user.http.get(path, headers={"If-None-Match": '"x"'})).status_code == 200


async def test_head_returns_headers_without_bytes(user: User) -> None:
    made = await make_asset(user, BYTES, name="a.png", content_type="image/png")
    reply = await user.http.head(f"/v1/assets/{made.id}/content", headers={"Range": "bytes=0-1"})
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["content-length"] == "100"
    assert reply.headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("image/png", "inline"),
        ("text/plain; charset=utf-8", "inline"),
        ("video/mp4", "inline"),
        ("text/html", "attachment"),
        ("Text/HTML; charset=utf-8", "attachment"),
        ("image/svg+xml", "attachment"),
        ("application/xhtml+xml", "attachment"),
        ("text/xml", "attachment"),
        ("application/octet-stream", "attachment"),
    ],
)
async def test_active_content_is_sent_as_attachment(
    user: User, content_type: str, kind: str
) -> None:
    made = await make_asset(user, b"<script>", name="x", content_type=content_type)
    reply = await user.http.get(f"/v1/assets/{made.id}/content")
    assert reply.headers["content-disposition"].startswith(f"{kind};")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-type"].startswith(content_type.partition(";")[0])
    assert made.get_url
    presigned = (await fetch(made.get_url)).headers.get("content-disposition", "inline;")
    assert presigned.startswith(f"{kind};")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain name.png", 'inline; filename="plain name.png"'),
        ('a"b\\c', "inline; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"),
        (
            "Ü\u202eX: y.png",
            "inline; filename=\"__X: y.png\"; filename*=UTF-8''%C3%9C_X%3A%20y.png",
        ),
        ("日本", "inline; filename=\"__\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC"),
        ("../../etc/passwd", 'inline; filename="../../etc/passwd"'),
        ("100%", "inline; filename=\"100_\"; filename*=UTF-8''100%25"),
    ],
)
async def test_any_name_fits_the_header(user: User, name: str, expected: str) -> None:
    made = await make_asset(user, name=name, content_type="text/plain")
    assert made.name == name
    reply = await user.http.get(f"/v1/assets/{made.id}/content")
    assert reply.headers["content-disposition"] == expected
    url = (await user.http.get(f"/v1/assets/{made.id}/url?download=true")).json()["url"]
    saved = await fetch(url)
    assert saved.content == b"hello"
    assert saved.headers["content-disposition"] == expected.replace("inline", "attachment", 1)


async def test_redirects_lead_to_the_bytes(user: User) -> None:
    made = await make_asset(user, BYTES)
    for path in (
        f"/v1/assets/{made.id}/content?redirect=true",
        f"/v1/storage/assets/{made.id}.png",
        f"/v1/storage/assets/{made.id}",
    ):
        reply = await user.http.get(path)
        assert reply.status_code == 307
        assert (await fetch(reply.headers["location"])).content == BYTES


async def test_the_redirect_of_a_head_request_permits_head(user: User) -> None:
    made = await make_asset(user, BYTES)
    path = f"/v1/assets/{made.id}/content?redirect=true"
    reply = await user.http.head(path)
    assert reply.status_code == 307
    async with httpx.AsyncClient() as http:
        head = await http.head(reply.headers["location"])
    assert (head.status_code, head.headers["content-length"]) == (200, "100")


async def test_a_url_is_valid_for_the_requested_time(user: User) -> None:
    made = await make_asset(user)
    path = f"/v1/assets/{made.id}/url"
    for query, seconds in (
        ("", "3600"),
        ("?expires_in=", "3600"),
        ("?expires_in=604800", "604800"),
    ):
        url = (await user.http.get(path + query)).json()["url"]
        assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == [seconds]
    for wrong in ("0", "604801", "x"):
        assert (await user.http.get(f"{path}?expires_in={wrong}")).status_code == 422


async def test_urls_of_many_files_leave_out_unreadable_files(user: User, other: User) -> None:
    mine = await make_asset(user)
    theirs = await make_asset(other)
    folder = await make_folder(user)
    temp = (await user.http.post("/v1/temp?ext=txt", content=b"temp")).json()
    ids = [mine.id, theirs.id, folder.id, "x", "0" * 32]
    body = {"asset_ids": ids, "temp_ids": [temp["id"], "y"]}
    urls = (await user.http.post("/v1/urls", json=body)).json()["urls"]
    assert set(urls) == {mine.id, temp["id"]}
    assert (await fetch(urls[mine.id])).content == b"hello"
    assert (await fetch(urls[temp["id"]])).content == b"temp"
    too_many = {"asset_ids": ["x"] * 600, "temp_ids": ["y"] * 401}
    assert (await user.http.post("/v1/urls", json=too_many)).status_code == 422


async def test_a_url_has_the_host_of_the_callers_network(start_service: object) -> None:
    assert callable(start_service)
    service: Service = start_service(s3_public_endpoint="https://files.example:443")
    async with await service.new_user() as user:
        made = await make_asset(user)
        assert made.get_url
        assert made.get_url.startswith("https://files.example/")
        inside = {"X-Storage-Network": "internal"}
        got = (await user.http.get(f"/v1/assets/{made.id}", headers=inside)).json()
        assert (await fetch(got["get_url"])).content == b"hello"


async def test_a_folder_has_no_content(user: User) -> None:
    folder = await make_folder(user)
    for path in ("content", "content?redirect=true", "url"):
        reply = await user.http.get(f"/v1/assets/{folder.id}/{path}")
        assert (reply.status_code, reply.json()["code"]) == (409, "no_content")
    reply = await user.http.put(f"/v1/assets/{folder.id}/content", content=b"x")
    assert (reply.status_code, reply.json()["code"]) == (409, "no_content")


async def test_bytes_are_replaced_as_a_new_version(service: Service, user: User) -> None:
    made = await make_asset(user, b"old", name="a.txt", content_type="text/plain")
    path = f"/v1/assets/{made.id}"
    etags = [(await user.http.get(p)).headers["etag"] for p in (path, f"{path}/content")]
    reply = await user.http.put(f"{path}/content", content=b"newer", headers={"If-Match": etags[0]})
    assert reply.status_code == 200
    got = reply.json()
    assert (got["size"], got["content_type"], got["name"]) == (5, "text/plain", "a.txt")
    assert got["sha256"] != made.sha256
    assert (await user.http.get(f"{path}/content")).content == b"newer"
    assert (await fetch(got["get_url"])).content == b"newer"
    assert [(await user.http.get(p)).headers["etag"] for p in (path, f"{path}/content")] != etags
    stored = [key for key in await keys(service) if key.startswith(made.id)]
    assert len(stored) == 1
    assert await journal(service) == []
    late = await user.http.put(f"{path}/content", content=b"x", headers={"If-Match": etags[0]})
    assert late.status_code == 412
    assert (await user.http.get(f"{path}/content")).content == b"newer"


async def test_replacing_bytes_may_change_their_type(user: User) -> None:
    made = await make_asset(user, b"text", name="a", content_type="text/plain")
    path = f"/v1/assets/{made.id}/content"
    png = await user.http.put(path, content=b"\x89PNG\r\n\x1a\n")
    assert png.json()["content_type"] == "image/png"
    claimed = await user.http.put(path, content=b"x", headers={"Content-Type": "text/csv"})
    assert claimed.json()["content_type"] == "text/csv"
