"""Assets in the form of the wire, for orjson.

`Asset` documents the replies. They are built without pydantic, which would cost more than the
query; the tests check them against it.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import orjson

from app.assets.queries import AssetRecord

_SAME = (
    "id", "user_id", "workflow_id", "job_id", "node_id", "parent_id", "name", "content_type",
    "size", "status", "duration", "width", "height", "created_at", "updated_at",
)  # fmt: skip
_values = attrgetter(*_SAME)


def asset_fields(
    asset: AssetRecord, get_url: str | None = None, thumb_url: str | None = None
) -> dict[str, Any]:
    """Return an `Asset`."""
    fields: dict[str, Any] = dict(zip(_SAME, _values(asset), strict=True))
    # A SHA-256 that was declared is not shown until it has been verified.
    is_verified = asset.status != "pending" and asset.sha256_due is None
    fields["sha256"] = asset.sha256 if is_verified else None
    fields["metadata"] = orjson.Fragment(asset.metadata)
    fields["get_url"] = get_url
    fields["thumb_url"] = thumb_url
    return fields
