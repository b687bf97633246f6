"""Responses with assets, with presigned URLs for the network of the caller."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from app.assets.presigned_urls import PresignedUrls
from app.assets.queries import AssetRecord
from app.assets.schemas import asset_fields
from app.assets.service import etag
from app.http.dependencies import services_of
from app.http.idempotency.dependencies import replayed
from app.http.responses import json_response
from app.storage import network_of


def asset_response(request: Request, asset: AssetRecord) -> Response:
    """Return a response with one asset."""
    (fields,) = with_urls(request, [asset])
    return json_response(fields, headers={"ETag": etag(asset)})


def created_response(request: Request, asset: AssetRecord, *, is_replay: bool) -> Response:
    """Return the response of a request that created an asset, or of its replay."""
    (fields,) = with_urls(request, [asset])
    headers = {"ETag": etag(asset), "Location": f"/v1/assets/{asset.id}"}
    response = json_response(fields, status_code=201, headers=headers)
    return marked(response, is_replay=is_replay)


def with_urls(request: Request, assets: Iterable[AssetRecord]) -> list[dict[str, Any]]:
    """Return assets for orjson, each with fresh URLs.

    The URLs are no dependency of the routes, since each dependency costs as much as a URL.
    """
    urls, network = services_of(request).get(PresignedUrls), network_of(request)
    return [
        asset_fields(asset, urls.to_get(asset, network), urls.to_thumbnail(asset, network))
        for asset in assets
    ]


def marked(response: Response, *, is_replay: bool) -> Response:
    """Return a response, marked as a replay if an earlier request created the asset."""
    if is_replay:
        replayed(response)
    return response


def expiry(seconds: int) -> datetime:
    """Return the expiry of a URL that is signed now, by the clock of this replica."""
    return datetime.now(UTC) + timedelta(seconds=seconds)
