"""Tests of uploads by presigned URLs: reserve, put, complete."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from processing_context.wire.assets import PutUpload, UploadReserved
from tests.support.assets import fetch, journal, keys, make_asset, names, put
from tests.support.services import WAIT_S, Service, User

CONTENT = b"some bytes" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


async def reserve(user: User, **changes: Any) -> tuple[str, PutUpload]:
    """Reserve an asset for `CONTENT`; return its id and the upload."""
    body = {"name": "a", "content_type": "text/plain", "size": len(CONTENT), **changes}
    reply = await user.http.post("/v1/assets/uploads", json=body)
    assert reply.status_code == 201, reply.text
    made = UploadReserved.model_validate(reply.json())
    assert isinstance(made.upload, PutUpload)
    return made.asset.id, made.upload


async def complete(user: User, asset_id: str, **options: Any) -> httpx.Response:
    """Complete an upload."""
    return await user.http.post(f"/v1/assets/{asset_id}/complete", **options)


@pytest.mark.parametrize("sha256", [SHA256, None])
async def test_bytes_go_straight_to_storage(user: User, sha256: str | None) -> None:
    asset_id, upload = await reserve(user, sha256=sha256, metadata={"a": 1})
    assert upload.headers["If-None-Match"] == "*"
    assert ("x-amz-checksum-sha256" in upload.headers) == (sha256 is not None)
    pending = (await user.http.get(f"/v1/assets/{asset_id}")).json()
    assert (pending["status"], pending["get_url"], pending["sha256"]) == ("pending", None, None)
    for path in ("content", "url"):
        reply = await user.http.get(f"/v1/assets/{asset_id}/{path}")
        assert (reply.status_code, reply.json()["code"]) == (409, "upload_incomplete")
    assert (await put(upload.url, CONTENT, upload.headers)).status_code == 200
    assert asset_id not in {a["id"] for a in (await user.http.get("/v1/assets")).json()["assets"]}
    done = await complete(user, asset_id, json={})
    assert done.status_code == 200
    assert (done.json()["status"], done.json()["sha256"]) == ("ready", sha256)
    assert done.json()["metadata"] == {"a": 1}
    assert (await fetch(done.json()["get_url"])).content == CONTENT
    again = await complete(user, asset_id)
    assert (again.status_code, again.json()["status"]) == (200, "ready")
    assert (await user.http.get("/v1/assets")).json()["assets"][0]["id"] == asset_id


async def test_storage_refuses_undeclared_bytes(user: User) -> None:
    asset_id, upload = await reserve(user, sha256=SHA256)
    other = b"x" * len(CONTENT)
    digest = base64.b64encode(hashlib.sha256(other).digest()).decode()
    lying = {**upload.headers, "x-amz-checksum-sha256": digest}
    missing = {"x-amz-checksum-sha256": upload.headers["x-amz-checksum-sha256"]}
    for content, headers in (
        (CONTENT + b"x", upload.headers),
        (CONTENT[:-1], upload.headers),
        (other, upload.headers),
        (other, lying),
        (CONTENT, missing),
        (CONTENT, {"If-None-Match": "*"}),
    ):
        assert 400 <= (await put(upload.url, content, headers)).status_code < 500
    reply = await complete(user, asset_id)
    assert (reply.status_code, reply.json()["code"]) == (409, "upload_incomplete")
    assert (await put(upload.url, CONTENT, upload.headers)).status_code == 200
    assert (await put(upload.url, CONTENT, upload.headers)).status_code == 412
    assert (await complete(user, asset_id)).status_code == 200
    assert (await put(upload.url, CONTENT, upload.headers)).status_code == 412


async def test_content_md5_may_be_added_and_is_checked(user: User) -> None:
    _, upload = await reserve(user)
    wrong = base64.b64encode(hashlib.md5(b"x", usedforsecurity=False).digest()).decode()
    right = base64.b64encode(hashlib.md5(CONTENT, usedforsecurity=False).digest()).decode()
    reply = await put(upload.url, CONTENT, {**upload.headers, "Content-MD5": wrong})
    assert reply.status_code == 400
    reply = await put(upload.url, CONTENT, {**upload.headers, "Content-MD5": right})
    assert reply.status_code == 200


async def test_an_object_with_another_sha256_does_not_become_ready(
    service: Service, user: User
) -> None:
    asset_id, _ = await reserve(user, sha256=SHA256)

    async def smuggle() -> None:
        pool = service.db.pool
        version = await pool.fetchval("select version from assets where id = $1", asset_id)
        async with service.storage.assets.upload(f"{asset_id}/{version}", "user") as upload:
            await upload.write(b"x" * len(CONTENT))

    await service.run(smuggle())
    reply = await complete(user, asset_id)
    assert (reply.status_code, reply.json()["code"]) == (422, "checksum_mismatch")


async def test_a_sha256_given_at_completion_is_verified(user: User) -> None:
    asset_id, upload = await reserve(user)
    assert (await put(upload.url, CONTENT, upload.headers)).status_code == 200
    wrong = await complete(user, asset_id, json={"sha256": "0" * 64})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "checksum_mismatch")
    for _ in range(2):
        done = await complete(user, asset_id, json={"sha256": SHA256})
        assert (done.status_code, done.json()["sha256"]) == (200, SHA256)
    wrong = await complete(user, asset_id, json={"sha256": "0" * 64})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "checksum_mismatch")


async def test_concurrent_completions_have_the_same_result(user: User) -> None:
    asset_id, upload = await reserve(user, sha256=SHA256)
    await put(upload.url, CONTENT, upload.headers)
    replies = await asyncio.gather(*(complete(user, asset_id) for _ in range(8)))
    assert {reply.status_code for reply in replies} == {200}
    assert {reply.json()["status"] for reply in replies} == {"ready"}


async def test_a_pending_upload_has_new_urls_until_it_ends(user: User) -> None:
    asset_id, _ = await reserve(user, size=0)
    reply = await user.http.get(f"/v1/assets/{asset_id}/upload")
    fresh = PutUpload.model_validate(reply.json())
    assert (await put(fresh.url, b"", fresh.headers)).status_code == 200
    assert (await complete(user, asset_id)).json()["size"] == 0
    for method in ("GET", "DELETE"):
        reply = await user.http.request(method, f"/v1/assets/{asset_id}/upload")
        assert (reply.status_code, reply.json()["code"]) == (409, "upload_ended")


async def test_an_aborted_upload_leaves_nothing_for_good(service: Service, user: User) -> None:
    asset_id, upload = await reserve(user)
    await put(upload.url, CONTENT, upload.headers)
    assert (await user.http.delete(f"/v1/assets/{asset_id}/upload")).status_code == 204
    assert (await user.http.get(f"/v1/assets/{asset_id}")).status_code == 404
    assert (await complete(user, asset_id)).status_code == 404
    assert not any(key.startswith(asset_id) for key in await keys(service))
    # The URL is still valid; an object put now is deleted after the expiry.
    assert (await put(upload.url, CONTENT, upload.headers)).status_code == 200
    assert [op for key, op in await journal(service) if key.startswith(asset_id)] == ["delete"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"content_type": "folder"},
        {"content_type": "x"},
        {"size": -1},
        {"size": "many"},
        {"sha256": "x"},
        {"sha256": SHA256.upper()},
        {"parent_id": "0" * 32},
        {"workflow_id": "x"},
        {"node_id": "\x00"},
        {"surprise": 1},
    ],
)
async def test_an_invalid_reservation_is_refused(user: User, change: dict[str, Any]) -> None:
    body = {"name": "a", "content_type": "text/plain", "size": 1, **change}
    reply = await user.http.post("/v1/assets/uploads", json=body)
    assert reply.status_code == 422, reply.text


async def test_more_than_the_limit_is_refused(user: User) -> None:
    body = {"name": "a", "content_type": "text/plain", "size": 10 * 1024**3 + 1}
    reply = await user.http.post("/v1/assets/uploads", json=body)
    assert (reply.status_code, reply.json()["code"]) == (413, "too_large")


async def test_parts_belong_to_multipart_uploads(user: User) -> None:
    asset_id, _ = await reserve(user)
    reply = await complete(user, asset_id, json={"parts": [{"part_number": 1, "etag": "x"}]})
    assert reply.status_code == 422


async def test_a_replay_reserves_once(service: Service) -> None:
    async with await service.new_user() as user:
        body = {"name": "a", "content_type": "text/plain", "size": len(CONTENT)}
        headers = {"Idempotency-Key": "k"}
        first = await user.http.post("/v1/assets/uploads", json=body, headers=headers)
        again = await user.http.post("/v1/assets/uploads", json=body, headers=headers)
        assert first.json()["asset"]["id"] == again.json()["asset"]["id"]
        assert again.headers["idempotent-replay"] == "true"
        upload = again.json()["upload"]
        assert (await put(upload["url"], CONTENT, upload["headers"])).status_code == 200
        changed = await user.http.post(
            "/v1/assets/uploads", json={**body, "size": 1}, headers=headers
        )
        assert changed.json()["code"] == "idempotency_key_reused"


async def test_the_bytes_of_a_ready_asset_cannot_be_put_again(user: User) -> None:
    made = await make_asset(user)
    reply = await complete(user, made.id)
    assert reply.status_code == 200
    assert (await user.http.get(f"/v1/assets/{made.id}/upload")).status_code == 409
    assert await names(user)


async def test_a_page_of_an_allowed_origin_may_put(start_service: Callable[..., Service]) -> None:
    service = start_service(allowed_origins=("https://ui.example",))
    async with await service.new_user() as user, httpx.AsyncClient(timeout=WAIT_S) as browser:
        _, upload = await reserve(user, sha256=SHA256)
        preflight = {
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "if-none-match,x-amz-checksum-sha256",
        }
        allowed = await browser.options(
            upload.url, headers={**preflight, "Origin": "https://ui.example"}
        )
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://ui.example"
        refused = await browser.options(
            upload.url, headers={**preflight, "Origin": "https://evil.example"}
        )
        assert "access-control-allow-origin" not in refused.headers
