"""Tests of the set-up of buckets."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest
from minio import Minio

from app.storage import StorageUnavailable
from app.storage.admin import Admin
from app.storage.presign import Signer
from app.storage.s3_requests import S3Requests
from tests.support.loopback import Answer, Asked, Loopback
from tests.support.services import WAIT_S, Service

KEYS = {"region": "us-east-1", "access_key": "key", "secret_key": "secret"}


def admin_of(server: Loopback) -> Admin:
    return Admin(server.url, S3Requests(Signer(server.url, **KEYS)), **KEYS)


def error(status: int, code: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    return Answer(status, body, {"Content-Type": "application/xml"})


async def test_pages_of_other_origins_may_read_and_put(service: Service) -> None:
    url = service.storage.presign_put(service.storage.temp, "a", network="internal", expires_s=60)
    asked = {"Origin": "https://x.example", "Access-Control-Request-Method": "PUT"}
    async with httpx.AsyncClient(timeout=WAIT_S) as http:
        reply = await http.options(url, headers=asked)
    assert reply.status_code == 200, reply.text
    assert reply.headers["access-control-allow-origin"] in ("*", "https://x.example")
    assert "PUT" in reply.headers["access-control-allow-methods"]


async def test_unsupported_features_are_logged_and_skipped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("/bkt"):
            return error(409, "BucketAlreadyOwnedByYou")
        return error(501, "NotImplemented") if "cors" in asked.path else error(403, "AccessDenied")

    with Loopback(answer) as server:
        await admin_of(server).ensure_bucket("bkt", origins=["https://a&b"], expire_after_days=3)
    assert [record.getMessage() for record in caplog.records] == [
        "cannot set CORS of bkt: NotImplemented",
        "cannot set the expiry rule of bkt: AccessDenied",
    ]
    cors = server.asked[1]
    parts = urlsplit(cors.path)
    assert (cors.method, parts.path) == ("PUT", "/bkt/")
    assert "X-Amz-SignedHeaders=content-md5%3Bhost" in parts.query
    assert b"<AllowedOrigin>https://a&amp;b</AllowedOrigin>" in cors.body


@pytest.mark.parametrize("failing", ["/bkt", "cors", "lifecycle"])
async def test_a_server_that_fails_is_unavailable(failing: str) -> None:
    def answer(asked: Asked) -> Answer:
        path = asked.path
        fails = path.endswith("/bkt") if failing == "/bkt" else failing in path
        return error(503, "SlowDown") if fails else Answer()

    with Loopback(answer) as server, pytest.raises(StorageUnavailable):
        await admin_of(server).ensure_bucket("bkt", origins=[], expire_after_days=None)


async def test_the_expiry_is_kept_where_a_rule_without_one_is_refused() -> None:
    """MinIO answers like this to a rule that only ends abandoned uploads."""
    stored: list[bytes] = []

    def like_minio(asked: Asked) -> Answer:
        if "lifecycle" not in asked.path:
            return Answer()
        if asked.body.count(b"<Rule>") > asked.body.count(b"<Expiration>"):
            return error(400, "InvalidArgument")
        stored.append(asked.body)
        return Answer()

    with Loopback(like_minio) as server:
        await admin_of(server).ensure_bucket("tmp", origins=[], expire_after_days=3)
        await admin_of(server).ensure_bucket("assets", origins=[], expire_after_days=None)
    assert len(stored) == 1
    assert b"<Days>3</Days>" in stored[0]


async def test_both_rules_are_stored_where_both_are_allowed(service: Service) -> None:
    assert service.settings.s3_endpoint
    assert service.settings.s3_access_key
    assert service.settings.s3_secret_key
    server = urlsplit(service.settings.s3_endpoint).netloc
    keys = [service.settings.s3_access_key, service.settings.s3_secret_key]
    access_key, secret_key = (key.get_secret_value() for key in keys)
    client = Minio(server, access_key, secret_key, secure=False)
    rules = {}
    for bucket in (service.settings.s3_temp_bucket, service.settings.s3_asset_bucket):
        found = client.get_bucket_lifecycle(bucket)
        assert found
        rules[bucket] = sorted(str(rule.rule_id) for rule in found.rules)
    assert rules == {
        service.settings.s3_temp_bucket: ["abandoned-uploads", "expired"],
        service.settings.s3_asset_bucket: ["abandoned-uploads"],
    }
