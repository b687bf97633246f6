"""Responses that several routes of assets give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.responses import Response

from app.assets.presigned_urls import AssetUrls
from app.assets.queries import AssetRecord
from app.assets.schemas import asset_fields
from app.assets.service import etag
from app.http.idempotency.dependencies import replayed
from app.http.responses import json_response


def asset_response(asset: AssetRecord, urls: AssetUrls) -> Response:
    """Return a response with one asset."""
    return json_response(asset_fields(asset, *urls), headers={"ETag": etag(asset)})


def created_response(asset: AssetRecord, urls: AssetUrls, *, is_replay: bool) -> Response:
    """Return the response of a request that created an asset, or of its replay."""
    headers = {"ETag": etag(asset), "Location": f"/v1/assets/{asset.id}"}
    response = json_response(asset_fields(asset, *urls), status_code=201, headers=headers)
    return marked(response, is_replay=is_replay)


def marked(response: Response, *, is_replay: bool) -> Response:
    """Return a response, marked if it is that of an earlier request."""
    if is_replay:
        replayed(response)
    return response


def expiry(seconds: int) -> datetime:
    """Return when a URL that is signed now expires, by this clock; storage uses its own."""
    return datetime.now(UTC) + timedelta(seconds=seconds)
