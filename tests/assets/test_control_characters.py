"""Tests of control characters in names and content types, which headers and terminals obey."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.assets import form, make_asset
from tests.support.services import Service, User

BAD_TYPES = (
    "image/png;\r\nX=y",
    "text/plain;\x0b\x0ca=b",
    "text/html;\r\n\r\na=<script>",
    "text/plain\n",
    "text/plain; a=\x00",
    "text/plain;\ta=b",
    "text/plain; a=\x85",
    "text/plain; a=\u2028b",
    "text/pl\x7fain",
)
BAD_NAMES = (
    "a\r\nb",
    "a\x0bb",
    "a\x0cb",
    "a\x00b",
    "\x1b[31m",
    "a\tb",
    "\x7f",
    "a\x9bb",
    "a\u2028b",
)


async def requests(user: User, **fields: Any) -> list[httpx.Response]:
    """Send the fields to all routes that describe an asset in JSON."""
    made = await make_asset(user)
    given = {"name": "n", "content_type": "text/plain", **fields}
    item = {"asset": given, "size": 1}
    url = {"url": "http://203.0.113.1/", **fields}
    return [
        await user.http.post("/v1/assets", **form(b"x", **given)),
        await user.http.post("/v1/assets/uploads", json={**given, "size": 1}),
        await user.http.post("/v1/assets/batch", **form(b"x", assets=[item])),
        await user.http.patch(f"/v1/assets/{made.id}", json=fields),
        await user.http.post("/v1/assets/import", json=url),
    ]


@pytest.mark.parametrize("content_type", BAD_TYPES)
async def test_a_content_type_has_no_control_characters(user: User, content_type: str) -> None:
    replies = await requests(user, content_type=content_type)
    replies.append(await user.http.post("/v1/temp/uploads", json={"content_type": content_type}))
    assert [reply.status_code for reply in replies] == [422] * len(replies)


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_a_name_has_no_control_characters(user: User, name: str) -> None:
    replies = await requests(user, name=name)
    folder = form(None, name=name, content_type="folder")
    replies.append(await user.http.post("/v1/assets", **folder))
    assert [reply.status_code for reply in replies] == [422] * len(replies)


def raw_form(headers: bytes) -> dict[str, Any]:
    """Return the arguments of a form whose part `file` has these headers."""
    return {
        "content": b"--b\r\n" + headers + b"\r\n\r\nx\r\n--b--\r\n",
        "headers": {"Content-Type": "multipart/form-data; boundary=b"},
    }


@pytest.mark.parametrize(
    "headers",
    [
        b'Content-Disposition: form-data; name="file"; filename="a%0D%0Ab"',
        b'Content-Disposition: form-data; name="file"; filename="a\x0bb"',
        b'Content-Disposition: form-data; name="file"; filename="a\x00b"',
        b"Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''a%0Ab",
        b'Content-Disposition: form-data; name="file"; filename="=?UTF-8?B?YQpi?="',
        b'Content-Disposition: form-data; name="file"; filename="a"\r\n'
        b"Content-Type: text/plain;\x0b\x0ca=b",
        b'Content-Disposition: form-data; name="file"; filename="a"\r\n'
        b"Content-Type: text/plain; a=\x00b",
    ],
)
async def test_the_headers_of_a_file_have_no_control_characters(user: User, headers: bytes) -> None:
    refused = await user.http.post("/v1/assets", **raw_form(headers))
    assert refused.status_code in (400, 422), refused.text


async def test_a_content_type_header_has_no_control_characters(user: User) -> None:
    made = await make_asset(user)
    headers = [(b"Content-Type", "text/plain; a=\x85b".encode("latin-1"))]
    for method, path in (("POST", "temp"), ("PUT", f"assets/{made.id}/content")):
        refused = await user.http.request(method, f"/v1/{path}", content=b"x", headers=headers)
        assert refused.status_code == 422, refused.text


async def test_the_content_of_an_earlier_release_is_served_without_its_parameters(
    service: Service, user: User
) -> None:
    made = await make_asset(user, b"abc", name="n", content_type="text/plain")
    statement = "update assets set content_type = $1, name = $2 where id = $3"
    await service.run(service.db.pool.execute(statement, "text/plain;\r\nX=y", "a\r\nb", made.id))
    reply = await user.http.get(f"/v1/assets/{made.id}/content")
    assert (reply.status_code, reply.content) == (200, b"abc")
    assert reply.headers["content-type"] == "text/plain"
    changed = await user.http.patch(f"/v1/assets/{made.id}", json={"metadata": {"a": 1}})
    assert changed.status_code == 200
