"""Numbers, depth and encoding of JSON texts of users."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.http.json_parser import MAX_DEPTH, IntegersTooLarge, TooDeep, parse_json

EXACT = (-(2**63), 2**64 - 1, 10**18, -(10**18), 0)
ROUNDED = (
    *(str(2**64), str(-(2**63) - 1), "90000000000000000000", "25227143063332189585438"),
    *("1" + "0" * 300, "-1" + "0" * 300),
)
_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def integers(value: Any) -> list[int]:
    """Return the integers of a value."""
    if isinstance(value, dict):
        return [each for child in value.values() for each in integers(child)]
    if isinstance(value, list):
        return [each for child in value for each in integers(child)]
    return [value] if type(value) is int else []


@pytest.mark.parametrize("number", EXACT)
def test_integers_of_64_bits_are_exact(number: int) -> None:
    assert parse_json(json.dumps({"a": [number]}).encode()) == {"a": [number]}


@pytest.mark.parametrize("number", ROUNDED)
@pytest.mark.parametrize("space", ["", " "])
def test_larger_integers_are_refused_with_their_place(number: str, space: str) -> None:
    text = f'{{"a": [1, {{"b":{space}{number}{space}}}], "c": {number}}}'
    with pytest.raises(IntegersTooLarge) as caught:
        parse_json(text.encode())
    errors = caught.value.errors or []
    assert [error["loc"] for error in errors] == [["body", "a", 1, "b"], ["body", "c"]]
    assert {error["type"] for error in errors} == {"int_too_large"}


@pytest.mark.parametrize("value", ["1" * 50, "x-" + "9" * 30, 0.1234567890123456789, 1e22, 1e300])
def test_digits_in_strings_and_fractions_are_no_integers(value: object) -> None:
    assert parse_json(json.dumps([value])) == [value]
    assert parse_json(json.dumps({str(value): 1})) == {str(value): 1}


@given(_values)
@example([2**64])
@example({"a" * 30 + "1" * 30: [-(2**63) - 1]})
def test_a_text_is_parsed_exactly_or_refused(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    is_exact = all(-(2**63) <= each < 2**64 for each in integers(value))
    try:
        assert parse_json(text) == value
        assert is_exact
    except IntegersTooLarge:
        assert not is_exact


def test_the_last_of_several_values_with_one_key_counts() -> None:
    assert parse_json(b'{"a": 1, "a": 2}') == {"a": 2}
    assert parse_json(b'{"a": 100000000000000000000, "a": 2}') == {"a": 2}
    with pytest.raises(IntegersTooLarge):
        parse_json(b'{"a": 2, "a": 100000000000000000000}')


@pytest.mark.parametrize(
    "text",
    [b"NaN", b"[Infinity]", b"[-Infinity]", b"[1e999]", b"[-1e999]", b'["\\ud800"]', b"[1,]"],
)
def test_texts_that_no_parser_agrees_on_are_invalid(text: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        parse_json(text)


@pytest.mark.parametrize("pair", [b"[]", b'{"a":}'])
def test_the_depth_is_limited(pair: bytes) -> None:
    start, end = pair[:-1], pair[-1:]
    inner = b"[]" if pair == b"[]" else b"{}"
    parse_json(start * (MAX_DEPTH - 1) + inner + end * (MAX_DEPTH - 1))
    with pytest.raises(TooDeep):
        parse_json(start * MAX_DEPTH + inner + end * MAX_DEPTH)
