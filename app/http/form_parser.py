"""Forms read as they come: no part is ever kept whole, in memory or on disk."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.http.problems import BadRequest, TooLarge


class MalformedForm(BadRequest):
    """Not `multipart/form-data`, or broken."""

    code = "malformed_form"
    detail = "The body is no well-formed multipart/form-data."


class _End(Enum):
    PART = auto()
    FORM = auto()


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
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise MalformedForm("Send the form as multipart/form-data with a boundary.")
        self._body = body
        self._events: deque[Part | bytes | _End] = deque()
        self._headers: dict[bytes, bytes] = {}
        self._field = b""
        self._value = b""
        self._has_ended = False
        self.read_bytes = 0
        try:
            self._parser = MultipartParser(boundary, self._callbacks())  # type: ignore[arg-type]
        except FormParserError:
            raise MalformedForm from None

    async def next_part(self) -> Part | None:
        """Return the head of the next part, passing over what is left of this one; None at the end.

        Raises:
            MalformedForm: The form breaks off, or is none.
        """
        while (event := await self._next()) is not _End.FORM:
            if isinstance(event, Part):
                return event
        return None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the part whose head came last."""
        while isinstance(event := await self._next(), bytes):
            yield event

    async def read(self, limit: int) -> bytes:
        """Return the bytes of the part whose head came last.

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

    async def _next(self) -> Part | bytes | _End:
        while not self._events:
            if self._has_ended:
                return _End.FORM
            data = await anext(self._body, None)
            if data is None:
                raise MalformedForm("The form ends before its closing boundary.")
            self._parse(data)
        return self._events.popleft()

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError:
            raise MalformedForm from None

    def _callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": lambda: self._events.append(_End.PART),
            "on_end": self._on_end,
        }

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"name" not in options:
            raise MalformedForm("A part of the form has no name.")
        file_name = options.get(b"filename")
        content_type = self._headers.get(b"content-type")
        self._events.append(
            Part(
                name=_text(options[b"name"]),
                file_name=None if file_name is None else _file_name(file_name),
                content_type=None if content_type is None else _text(content_type).strip(),
            )
        )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data if end - start == len(data) else data[start:end])

    def _on_end(self) -> None:
        self._has_ended = True


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")


def _file_name(value: bytes) -> str:
    """Undo what browsers do to the three characters that a quoted name cannot hold (WHATWG)."""
    text = _text(value)
    for escaped, plain in (("%22", '"'), ("%0D", "\r"), ("%0A", "\n")):
        text = text.replace(escaped, plain)
    return text
