"""Streaming parser of multipart/form-data; no part is buffered whole, in memory or on disk."""

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

from app.http.form_names import file_name_of
from app.http.problems import BadRequest, TooLarge

MAX_BOUNDARY_BYTES = 256
_NEEDS_DATA = object()


class MalformedForm(BadRequest):
    """The body is not well-formed `multipart/form-data`."""

    code = "malformed_form"
    detail = "The body is not well-formed multipart/form-data."


@dataclass(frozen=True, slots=True)
class Part:
    """The headers of one part."""

    name: str
    file_name: str | None
    content_type: str | None


class FormReader:
    """Reader of a form, part by part: `next_part`, then `chunks` or `read` for its content.

    `read_bytes` is the number of bytes that `read` has returned so far.
    """

    def __init__(self, content_type: str | None, body: AsyncIterator[bytes]) -> None:
        kind, options = parse_options_header(content_type or "")
        boundary = options.get("boundary", "").encode("latin-1")
        if kind != "multipart/form-data" or not boundary:
            raise MalformedForm(
                "The body is not a form: send it as multipart/form-data with a boundary."
            )
        if len(boundary) > MAX_BOUNDARY_BYTES:
            raise MalformedForm
        self._body = body
        # Latin-1 preserves the bytes of a name, whatever its encoding.
        self._parser = PushMultipartParser(boundary, header_charset="latin-1")
        self._events: Iterator[Any] = iter(())
        self._is_complete = False
        self.read_bytes = 0

    async def next_part(self) -> Part | None:
        """Return the next part, or None at the end; unread content of the current one is skipped.

        Raises:
            MalformedForm: The form is malformed or incomplete.
        """
        while not self._is_complete:
            event = await self._next()
            if isinstance(event, MultipartSegment):
                return _part(event)
        return None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content of the current part."""
        while chunk := await self._next():
            yield chunk

    async def read(self, limit: int) -> bytes:
        """Return the content of the current part.

        Raises:
            TooLarge: It is longer than `limit` bytes.
        """
        data = bytearray()
        async for chunk in self.chunks():
            data += chunk
            if len(data) > limit:
                raise TooLarge(f"A part of the form is larger than the limit of {limit} bytes.")
        self.read_bytes += len(data)
        return bytes(data)

    async def _next(self) -> Any:
        """Return the next segment or bytes; None at the end of a segment or of the form."""
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
        raise MalformedForm(
            "A part of the form has no name: give each a Content-Disposition with a name."
        )
    content_type = segment.header("Content-Type")
    return Part(
        name=_text(segment.name),
        file_name=file_name_of(
            _text(segment.header("Content-Disposition", "")),
            None if segment.filename is None else _text(segment.filename),
        ),
        content_type=None if content_type is None else _text(content_type).strip(),
    )


def _text(value: str) -> str:
    """Return a UTF-8 text that was decoded as Latin-1."""
    return value.encode("latin-1").decode("utf-8", errors="replace")
