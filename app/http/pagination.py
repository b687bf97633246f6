"""Keyset pagination: a cursor is the place after the last item, so that inserts shift nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Query
from pydantic.functional_validators import BeforeValidator

from app.http.problems import BadRequest
from app.runtime.ids import is_id

MAX_PAGE_SIZE = 1000


class InvalidCursor(BadRequest):
    """Not a cursor that a list of ours gave."""

    code = "invalid_cursor"
    detail = (
        "This is no cursor of this list: leave it out to begin, or send `next` of the page before."
    )


def encode_cursor(place: str) -> str:
    """Return the opaque form of a place in a list."""
    return base64.urlsafe_b64encode(f"1:{place}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Return the place.

    Raises:
        InvalidCursor: It was not made by `encode_cursor`.
    """
    try:
        text = base64.b64decode(
            cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        ).decode()
    except (binascii.Error, ValueError):
        raise InvalidCursor from None
    version, _, place = text.partition(":")
    if version != "1" or not place or encode_cursor(place) != cursor:
        raise InvalidCursor
    return place


def decode_id_cursor(cursor: str) -> str:
    """Return the id that a cursor of a list ordered by id holds.

    Raises:
        InvalidCursor: It holds none.
    """
    place = decode_cursor(cursor)
    if not is_id(place):
        raise InvalidCursor
    return place


def whole_number(text: str) -> int | None:
    """Return the number that a few decimal digits are; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def empty_as_absent(value: object) -> object:
    """An empty query value (`?cursor=`) means absent."""
    return None if value == "" else value


EmptyAsAbsent = BeforeValidator(empty_as_absent)


PageSize = Annotated[Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] | None, EmptyAsAbsent, Query()]


class Page:
    """Which part of a list was asked for; `after` is the id that the cursor holds."""

    def __init__(self, size: int, after: str | None) -> None:
        self.size = size
        self.after = after


async def page(
    page_size: PageSize = None,
    cursor: Annotated[str | None, EmptyAsAbsent, Query()] = None,
) -> Page:
    """The page of a list ordered by id that the query names."""
    return Page(page_size or 100, decode_id_cursor(cursor) if cursor else None)


PageDep = Annotated[Page, Depends(page)]


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item")
RowT = TypeVar("RowT", bound="_HasId")


def cut(rows: Sequence[RowT], size: int) -> tuple[Sequence[RowT], str | None]:
    """Return a page and the cursor of the next one, from one row more than the page holds."""
    if len(rows) <= size:
        return rows, None
    return rows[:size], encode_cursor(rows[size - 1].id)
