"""File responses with ranges, conditional requests and safe headers (RFC 9110)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from app.http import content_headers
from app.http.problems import BadRequest, RangeNotSatisfiable
from app.http.request_body import limited
from app.http.stored_content import Content

_ONE_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE)


class ClientDisconnected(BadRequest):
    """The connection ended before the whole body was received; the response is not read."""

    code = "client_disconnected"
    detail = "The connection ended before the whole body was received."


async def content_response(content: Content, request: Request) -> Response:
    """Return the response to a GET or HEAD request for a file.

    Small files are verified before the response begins. If a large file turns out to be wrong at
    its end, the response is not completed, so that the caller sees a broken connection.

    Raises:
        RangeNotSatisfiable: The range is outside of the file.
        ContentCorrupt: The object in storage is not the one that was stored.
        ObjectMissing: The object does not exist in storage.
        StorageUnavailable: Storage does not answer.
    """
    headers = {
        "ETag": content.etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": content.disposition,
        "X-Content-Type-Options": "nosniff",
    }
    if _matches_etag(request.headers.get("if-none-match"), content.etag):
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
        await content.check()
        return Response(headers=headers)
    pieces = await (content.read_range(start, end) if wanted else content.read())
    first = await anext(pieces, b"")
    return StreamingResponse(
        _joined(first, pieces), status_code=206 if wanted else 200, headers=headers
    )


async def _joined(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


def _matches_etag(header: str | None, etag: str) -> bool:
    """Return True if an If-None-Match header contains the ETag, by weak comparison."""
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the start and the exclusive end of the range in a Range header.

    None stands for the whole file: the header is missing, malformed, or has several ranges.

    Raises:
        RangeNotSatisfiable: The range is outside of the file.
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
    """Yield the chunks of the raw request body.

    Raises:
        TooLarge: The body is longer than `limit` bytes.
        ClientDisconnected: The connection ended before the whole body was received.
    """
    try:
        async for chunk in Request(request.scope, limited(request, limit)).stream():
            if chunk:
                yield chunk
    except ClientDisconnect:
        raise ClientDisconnected from None
