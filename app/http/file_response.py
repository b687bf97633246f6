"""Bytes as an answer: ranges, conditions and the headers that make them harmless (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from app.http import content_headers
from app.http.problems import BadRequest, RangeNotSatisfiable
from app.http.request_body import limited
from app.storage import Bucket

_ONE_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE)


class HungUp(BadRequest):
    """The caller went away in the middle of the body; nobody reads this answer."""

    code = "client_disconnected"
    detail = "The connection ended in the middle of the body."


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of one object and how they are to be served."""

    bucket: Bucket
    key: str
    size: int
    content_type: str
    etag: str
    name: str

    @property
    def disposition(self) -> str:
        """Whether a browser shows or saves it, and under which name."""
        is_inline = content_headers.is_safe_inline(self.content_type)
        return content_headers.disposition("inline" if is_inline else "attachment", self.name)


async def content_response(content: Content, request: Request) -> Response:
    """Return the bytes that a GET asks for, or a HEAD's headers.

    Raises:
        RangeNotSatisfiable: The range begins behind the end.
        ObjectMissing: The object is gone.
        StorageUnavailable: Storage does not answer.
    """
    headers = {
        "ETag": content.etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": content.disposition,
        "X-Content-Type-Options": "nosniff",
    }
    if _names(request.headers.get("if-none-match"), content.etag):
        return Response(status_code=304, headers=headers)
    wanted = None
    if request.method == "GET" and request.headers.get("if-range", content.etag) == content.etag:
        wanted = parse_range(request.headers.get("range"), content.size)
    start, end = wanted or (0, content.size)
    headers["Content-Length"] = str(end - start)
    headers["Content-Type"] = content_headers.header_of(content.content_type)
    if wanted is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{content.size}"
    if request.method == "HEAD":
        return Response(headers=headers)
    pieces = await content.bucket.read(content.key, start, end)
    return StreamingResponse(pieces, status_code=206 if wanted else 200, headers=headers)


def _names(header: str | None, etag: str) -> bool:
    """Whether If-None-Match names the ETag; it compares weakly."""
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the range that a Range header asks for, its end not included.

    None where the whole is to be sent: no header, one that is malformed, or several ranges at once.

    Raises:
        RangeNotSatisfiable: It begins behind the end.
    """
    match = _ONE_RANGE.fullmatch(header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size or start == end:
        raise RangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return start, end


async def body_of(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The raw body as it comes.

    Raises:
        TooLarge: There are more than `limit` bytes.
        HungUp: The caller went away.
    """
    try:
        async for chunk in Request(request.scope, limited(request, limit)).stream():
            if chunk:
                yield chunk
    except ClientDisconnect:
        raise HungUp from None
