"""Strict parsing of JSON texts of users.

NaN, infinite numbers and lone surrogates are errors, and so are integers beyond 64 bits, which the
parser would round.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

from app.http.problems import Invalid, ValidationFailed

MAX_DEPTH = 200
"""Levels of nesting that are accepted; orjson parses more levels than the 254 that it writes."""

_LARGEST, _SMALLEST = 2**64 - 1, -(2**63)
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_MANY_DIGITS = b"0" * 19
"""Integers beyond 64 bits have at least 19 digits."""


class TooDeep(Invalid):
    """The JSON is nested too deeply."""

    code = "too_deep"
    detail = f"The JSON is nested too deeply: at most {MAX_DEPTH} levels are accepted."


class IntegersTooLarge(ValidationFailed):
    """The JSON has integers beyond 64 bits, which would be rounded."""


class _Oversized:
    """Placeholder of an integer beyond 64 bits."""


def parse_json(text: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises:
        TooDeep: It has more than `MAX_DEPTH` levels.
        IntegersTooLarge: It has an integer beyond 64 bits.
        orjson.JSONDecodeError: It is not valid JSON.
    """
    value = orjson.loads(text)
    if isinstance(text, str):
        text = text.encode()
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH:
        check_depth(value)
    if _MANY_DIGITS in text.translate(_DIGITS_AS_ZERO):
        _check_integers(text)
    return value


def check_depth(value: Any) -> None:
    """Check the depth of parsed JSON.

    Raises:
        TooDeep: It has more than `MAX_DEPTH` levels.
    """
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise TooDeep


def _check_integers(text: bytes) -> None:
    """Check the integers of a text that has many digits in a row, possibly within a string.

    Raises:
        IntegersTooLarge: An integer is beyond 64 bits.
    """
    value = json.loads(text, parse_int=_integer, parse_float=str)
    if paths := list(_oversized(value)):
        message = "integers beyond 64 bits are not supported: send a string"
        raise IntegersTooLarge(
            f"{'.'.join(map(str, ('body', *paths[0])))}: {message}",
            errors=[
                {"loc": ["body", *path], "msg": message, "type": "int_too_large"} for path in paths
            ],
        )


def _integer(digits: str) -> object:
    is_supported = len(digits) <= 20 and _SMALLEST <= int(digits) <= _LARGEST
    return None if is_supported else _Oversized


def _oversized(value: Any) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of the integers beyond 64 bits.

    Of several values with the same key only the last one counts, as in the parsed value.
    """
    left: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while left:
        path, each = left.pop()
        if each is _Oversized:
            yield path
        elif isinstance(each, dict):
            left += [((*path, key), child) for key, child in reversed(each.items())]
        elif isinstance(each, list):
            left += [((*path, at), each[at]) for at in range(len(each) - 1, -1, -1)]
