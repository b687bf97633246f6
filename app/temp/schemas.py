"""Conversion of rows to wire models of temporary files."""

from __future__ import annotations

from app.temp.queries import TempRecord
from processing_context.wire.assets import TempAsset


def temp_out(file: TempRecord, *, get_url: str | None, put_url: str | None) -> TempAsset:
    """Return the wire model of a temporary file with its presigned URL."""
    return TempAsset(
        id=file.id,
        get_url=get_url,
        put_url=put_url,
        size=file.size,
        content_type=file.content_type,
        expires_at=file.expires_at,
    )
