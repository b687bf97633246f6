"""Assets as they cross the wire.

Their replies are put together without pydantic, which would cost more than the query; `Asset`
documents them, and the tests hold them against it.
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from app.assets.queries import Row
from app.http.etags import etag_of

_SAME = (
    "id", "user_id", "workflow_id", "job_id", "node_id", "parent_id", "name", "content_type",
    "size", "status", "duration", "width", "height", "created_at", "updated_at",
)  # fmt: skip


def asset_fields(row: Row, get_url: str | None, thumb_url: str | None = None) -> dict[str, Any]:
    """Return an `Asset` for orjson."""
    fields = {name: row[name] for name in _SAME}
    # What was declared is not known yet.
    is_known = row["status"] != "pending" and row["sha256_due"] is None
    fields["sha256"] = row["sha256"] if is_known else None
    fields["metadata"] = orjson.Fragment(row["metadata"])
    fields["get_url"] = get_url
    fields["thumb_url"] = thumb_url
    return fields


def asset_etag(row: Row) -> str:
    """Return the ETag of an asset: over what its owner can edit, the bytes included."""
    return etag_of(
        row["name"], row["parent_id"], row["metadata"], row["content_type"], row["version"]
    )


def asset_response(
    row: Row, get_url: str | None, thumb_url: str | None, *, status_code: int = 200
) -> Response:
    """Return the answer that is one asset."""
    headers = {"ETag": asset_etag(row)}
    if status_code == 201:
        headers["Location"] = f"/v1/assets/{row['id']}"
    fields = asset_fields(row, get_url, thumb_url)
    return json_response(fields, status_code=status_code, headers=headers)


def json_response(
    body: object, *, status_code: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return a JSON answer; times end in `Z`."""
    return Response(
        orjson.dumps(body, option=orjson.OPT_UTC_Z),
        status_code=status_code,
        headers=headers,
        media_type="application/json",
    )
