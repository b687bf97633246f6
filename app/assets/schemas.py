"""Conversion of rows to the JSON of assets.

`Asset` documents the responses. They are built without pydantic, which would cost more than the
query; tests validate them against `Asset`.
"""

from __future__ import annotations

from typing import Any

import orjson

from app.assets.queries import AssetRecord


def asset_fields(
    asset: AssetRecord, get_url: str | None = None, thumb_url: str | None = None
) -> dict[str, Any]:
    """Return the fields of an `Asset`, for orjson."""
    # A SHA-256 that was declared is not shown until it has been verified.
    is_verified = asset.status != "pending" and asset.sha256_due is None
    return {
        "id": asset.id,
        "user_id": asset.user_id,
        "workflow_id": asset.workflow_id,
        "job_id": asset.job_id,
        "node_id": asset.node_id,
        "parent_id": asset.parent_id,
        "name": asset.name,
        "content_type": asset.content_type,
        "size": asset.size,
        "sha256": asset.sha256 if is_verified else None,
        "status": asset.status,
        "metadata": orjson.Fragment(asset.metadata),
        "duration": asset.duration,
        "width": asset.width,
        "height": asset.height,
        "created_at": asset.created_at,
        "updated_at": asset.updated_at,
        "get_url": get_url,
        "thumb_url": thumb_url,
    }
