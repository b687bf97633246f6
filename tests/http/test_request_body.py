"""Tests of valid and invalid JSON request bodies and query parameters."""

from __future__ import annotations

import re

import orjson
import pytest

from tests.support.services import User

JSON = "application/json"
JSON_TYPES = (JSON, "Application/JSON; charset=utf-8", "application/merge-patch+json")
TYPES = (*JSON_TYPES, "text/json", "")
ID = "0" * 32
GOOD = (orjson.dumps({"asset_ids": [ID]}), b' { "asset_ids" : [ ] } ')
BAD = (
    *(b"", b" ", b"{", b"null", b"[]", b"7", b'"x"', b"\xff", b"NaN", b'{"asset_ids": "x"}'),
    *(b'{"asset_ids": [1]}', b'{"asset_ids": [], "other": 2}', b'{"asset_ids": ["\\ud800"]}'),
)


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("body", GOOD)
async def test_a_good_body_needs_a_json_content_type(
    user: User, body: bytes, content_type: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    reply = await user.http.post("/v1/assets/find", content=body, headers=headers)
    is_json = content_type.lower().startswith("application/")
    assert reply.status_code == (200 if is_json else 415), reply.text
    if is_json:
        assert reply.json() == {"assets": []}


@pytest.mark.parametrize("content_type", JSON_TYPES)
@pytest.mark.parametrize("body", BAD)
async def test_an_invalid_body_is_refused_with_the_location_of_each_error(
    user: User, body: bytes, content_type: str
) -> None:
    headers = {"Content-Type": content_type}
    reply = await user.http.post("/v1/assets/find", content=body, headers=headers)
    assert reply.status_code == 422, reply.text
    assert [error["loc"][0] for error in reply.json()["errors"]] == ["body"]


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"wait_s": 0, "max_jobs": 1}'])
async def test_an_optional_body_may_be_omitted(user: User, body: bytes) -> None:
    reply = await user.http.post(f"/v1/jobs/{ID}/cancel", content=body)
    assert reply.status_code == 404, reply.text


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("page_size=0", ["page_size"]),
        ("page_size=1001&recursive=x", ["page_size", "recursive"]),
        ("urls=maybe", ["urls"]),
    ],
)
async def test_every_wrong_query_parameter_is_named(
    user: User, query: str, wrong: list[str]
) -> None:
    reply = await user.http.get(f"/v1/assets?{query}")
    assert reply.status_code == 422, reply.text
    assert sorted(error["loc"][1] for error in reply.json()["errors"]) == wrong


@pytest.mark.parametrize("query", ["page_size=", "cursor=&q=&urls=", "more=1", "page_size=%207"])
async def test_empty_and_unknown_query_parameters_are_ignored(user: User, query: str) -> None:
    reply = await user.http.get(f"/v1/assets?{query}")
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("body", [b'{"name": }', b'{"name": NaN}', b'{"name": "\xff"}', b'{"a": 1'])
async def test_invalid_json_is_refused_with_its_place(user: User, body: bytes) -> None:
    json_type = {"Content-Type": "application/json"}
    reply = await user.http.post("/v1/workflows", content=body, headers=json_type)
    assert (reply.status_code, reply.json()["code"]) == (422, "validation_error")
    assert re.match(r"body: not valid JSON at character \d+: \w", reply.json()["detail"])
    assert [error["loc"] for error in reply.json()["errors"]] == [["body"]]
