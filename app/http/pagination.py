"""Keyset pagination: a cursor holds the key of the last item, so that inserts shift no page.

A page has at most `page_size` items and at most 8 MiB, but at least one item. `PageQuery` applies
these limits to the rows, and `list_response` to the JSON.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Protocol, TypeVar

import orjson
from fastapi import Depends, Query, Response
from pydantic.functional_validators import BeforeValidator

from app.database.page_query import PAGE_BYTES, Listed
from app.http.problems import BadRequest
from app.http.responses import JSON
from app.runtime.ids import is_id

MAX_PAGE_SIZE = 1000


class InvalidCursor(BadRequest):
    """The cursor is not one of this list."""

    code = "invalid_cursor"
    detail = (
        "Not a cursor of this list. Omit it to start from the first page, or send `next` of the "
        "previous page."
    )


def encode_cursor(key: str) -> str:
    """Return an opaque cursor for the key of an item."""
    return base64.urlsafe_b64encode(f"1:{key}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Return the key that a cursor holds.

    Raises:
        InvalidCursor: The cursor was not returned by `encode_cursor`.
    """
    try:
        text = base64.b64decode(
            cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        ).decode()
    except (binascii.Error, ValueError):
        raise InvalidCursor from None
    version, _, key = text.partition(":")
    if version != "1" or not key or encode_cursor(key) != cursor:
        raise InvalidCursor
    return key


def decode_id_cursor(cursor: str) -> str:
    """Return the id that a cursor holds, in a list ordered by id.

    Raises:
        InvalidCursor: The cursor holds no id.
    """
    key = decode_cursor(cursor)
    if not is_id(key):
        raise InvalidCursor
    return key


def decode_text_cursor(cursor: str) -> str:
    """Return the text that a cursor holds, in a list ordered by text of users.

    Raises:
        InvalidCursor: The cursor holds a text that PostgreSQL does not store.
    """
    key = decode_cursor(cursor)
    if "\0" in key:
        raise InvalidCursor
    return key


def whole_number(text: str) -> int | None:
    """Return a number of up to 19 decimal digits; None for any other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def empty_as_absent(value: object) -> object:
    """Return None for an empty query value (`?cursor=`), which means that it is absent."""
    return None if value == "" else value


EmptyAsAbsent = BeforeValidator(empty_as_absent)


PageSize = Annotated[Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] | None, EmptyAsAbsent, Query()]

Cursor = Annotated[str | None, EmptyAsAbsent, Query()]


class Page:
    """The requested page of a list: at most `size` items after the id `after`."""

    def __init__(self, size: int, after: str | None) -> None:
        self.size = size
        self.after = after


async def page(
    page_size: PageSize = None,
    cursor: Cursor = None,
) -> Page:
    """Return the page that the query parameters request, of a list ordered by id."""
    return Page(page_size or 100, decode_id_cursor(cursor) if cursor else None)


PageDep = Annotated[Page, Depends(page)]


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T")
RowT = TypeVar("RowT", bound="_HasId")


def cut(rows: Sequence[RowT], size: int) -> tuple[Sequence[RowT], str | None]:
    """Return a page and the cursor of the next one; `rows` are up to `size + 1` rows."""
    if len(rows) <= size:
        return rows, None
    return rows[:size], encode_cursor(rows[size - 1].id)


def next_cursor(listed: Listed[Any], key: str = "id") -> str | None:
    """Return the cursor of the page after rows in the order of `key`; None for the last page."""
    return encode_cursor(str(getattr(listed.rows[-1], key))) if listed.has_more else None


def list_response(
    name: str,
    rows: Sequence[T],
    following: str | None,
    *,
    fields: Callable[[T], object],
    key: Callable[[T], str],
) -> Response:
    """Return a response with a page, which ends early before it exceeds 8 MiB.

    Args:
        name: The name of the list in the response.
        rows: The rows of the page.
        following: The cursor of the next page.
        fields: Returns the JSON of an item, as values for orjson.
        key: Returns the key of an item, for the cursor.
    """
    items: list[bytes] = []
    size = len(name) + 1024  # of the keys and the cursor
    for at, row in enumerate(rows):
        item = orjson.dumps(fields(row), option=orjson.OPT_UTC_Z)
        size += len(item) + 1
        if items and size > PAGE_BYTES:
            following = encode_cursor(key(rows[at - 1]))
            break
        items.append(item)
    body = b'{"next":%b,"%b":[%b]}' % (orjson.dumps(following), name.encode(), b",".join(items))
    return Response(body, media_type=JSON)
