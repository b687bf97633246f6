"""Streaming parser of multipart/form-data; no part is kept whole, in memory or on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from app.http.problems import BadRequest, TooLarge

MAX_BOUNDARY_BYTES = 256
_NEEDS_DATA = object()


class MalformedForm(BadRequest):
    """Not `multipart/form-data`, or broken."""

    code = "malformed_form"
    detail = "The body is no well-formed multipart/form-data."


@dataclass(frozen=True, slots=True)
class Part:
    """The head of one part."""

    name: str
    file_name: str | None
    content_type: str | None


class FormReader:
    """Reads the parts of a form in their order; of each its head, then its bytes as they come.

    `read_bytes` is how many bytes `read` has returned.
    """

    def __init__(self, content_type: str | None, body: AsyncIterator[bytes]) -> None:
        kind, options = parse_options_header(content_type or "")
        boundary = options.get("boundary", "").encode("latin-1")
        if kind != "multipart/form-data" or not boundary:
            raise MalformedForm("Send the form as multipart/form-data with a boundary.")
        if len(boundary) > MAX_BOUNDARY_BYTES:
            raise MalformedForm
        self._body = body
        # Latin-1 keeps the bytes of a name as they are, whatever they are encoded in.
        self._parser = PushMultipartParser(boundary, header_charset="latin-1")
        self._events: Iterator[Any] = iter(())
        self._is_complete = False
        self.read_bytes = 0

    async def next_part(self) -> Part | None:
        """Return the head of the next part, skipping the rest of this one; None at the end.

        Raises:
            MalformedForm: The body ends early, or is not a form.
        """
        while not self._is_complete:
            event = await self._next()
            if isinstance(event, MultipartSegment):
                return _part(event)
        return None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the part whose head was returned last."""
        while chunk := await self._next():
            yield chunk

    async def read(self, limit: int) -> bytes:
        """Return the bytes of the part whose head was returned last.

        Raises:
            TooLarge: There are more than `limit`.
        """
        data = bytearray()
        async for chunk in self.chunks():
            data += chunk
            if len(data) > limit:
                raise TooLarge(f"The part is larger than the limit of {limit} bytes.")
        self.read_bytes += len(data)
        return bytes(data)

    async def _next(self) -> Any:
        """Return the next segment or bytes; None where a segment or the form ends."""
        try:
            while (event := next(self._events, _NEEDS_DATA)) is _NEEDS_DATA:
                data = await anext(self._body, b"")
                if not data:
                    self._close()
                    return None
                self._events = self._parser.parse(data)
        except MultipartError:
            raise MalformedForm from None
        return event

    def _close(self) -> None:
        try:
            self._parser.close()
        except MultipartError:
            raise MalformedForm("The form ends before its closing boundary.") from None
        self._is_complete = True


def _part(segment: Any) -> Part:
    if not segment.name:
        raise MalformedForm("A part of the form has no name.")
    content_type = segment.header("Content-Type")
    return Part(
        name=_text(segment.name),
        file_name=None if segment.filename is None else _text(segment.filename),
        content_type=None if content_type is None else _text(content_type).strip(),
    )


def _text(value: str) -> str:
    """Decode what was read as Latin-1 and is UTF-8."""
    return value.encode("latin-1").decode("utf-8", errors="replace")
