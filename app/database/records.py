"""Conversion of rows to record classes (`NamedTuple`), which may contain other records.

A field that is itself a record takes as many columns as that record has. If its type is optional,
a null in the first of these columns makes it `None`, as after an outer join:

    class ClaimRow(NamedTuple):
        is_draining: bool
        leased: LeasedJob | None
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

RowT = TypeVar("RowT", bound=NamedTuple)

Make = Callable[[Any], Any]
"""Function that returns the value of a field from the columns of a row."""


def record_columns(row: type[NamedTuple]) -> tuple[str, ...]:
    """Return the columns of a record class, including those of records in it."""
    columns: list[str] = []
    for name, kind in _hints(row):
        nested, _ = _nested(kind)
        columns += [name] if nested is None else record_columns(nested)
    return tuple(columns)


def record_maker(row: type[RowT]) -> Callable[[Any], RowT]:
    """Return a function that creates a record from the values of its columns."""
    fields: list[Make] = []
    width, is_flat = 0, True
    for _, kind in _hints(row):
        nested, is_optional = _nested(kind)
        if nested is None:
            fields.append(itemgetter(width))
            width += 1
        else:
            end = width + len(record_columns(nested))
            fields.append(_nested_maker(nested, slice(width, end), is_optional=is_optional))
            width, is_flat = end, False
    if is_flat:
        return row._make
    return lambda values: row._make([field(values) for field in fields])


def _nested_maker(row: type[NamedTuple], columns: slice, *, is_optional: bool) -> Make:
    make = record_maker(row)
    if not is_optional:
        return lambda values: make(values[columns])
    return lambda values: None if values[columns.start] is None else make(values[columns])


def _hints(row: type[NamedTuple]) -> list[tuple[str, Any]]:
    hints = get_type_hints(row)
    return [(name, hints[name]) for name in row._fields]


def _nested(kind: Any) -> tuple[type[NamedTuple] | None, bool]:
    """Return the record class of a field, if it has one, and whether the record may be None."""
    is_optional = False
    if get_origin(kind) in (Union, UnionType):
        kinds = [each for each in get_args(kind) if each is not type(None)]
        is_optional = len(kinds) < len(get_args(kind))
        kind = kinds[0] if len(kinds) == 1 else None
    is_record = isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")
    return (kind if is_record else None), is_optional
