from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import BaseModel

from processing_context.nodes.errors import UnsendableError
from processing_context.nodes.runner.values import TooMuchError, json_bytes, to_wire
from processing_context.wire.refs import AssetRef, AudioRef, ImageRef
from tests.support.samples import Color

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


class Point(BaseModel):
    x: int
    image: ImageRef


@given(JSON)
def test_json_goes_through_as_it_is(value: Any) -> None:
    wire = to_wire(value)
    assert wire.value == value
    assert not wire.files
    assert json.loads(json_bytes(wire.value)) == value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "nan, which has no JSON form"),
        ([1, math.inf], r"\[1\] is inf"),
        (2**64, "more than 64 bits"),
        ({1: "a"}, "has the key 1"),
        ({"a": [object()]}, r"\['a'\]\[0\] is a object"),
        ("\ud800", "an unpaired surrogate"),
        ({"a", "b"}, "is a set"),
        (Image.new("RGB", (2, 2)), r"PIL\.Image\.Image.*context\.image_from_pil"),
        (np.zeros(3), r"numpy\.ndarray.*tolist"),
    ],
)
def test_what_json_has_no_form_for_is_refused_by_its_place(value: Any, said: str) -> None:
    with pytest.raises(UnsendableError, match=said):
        to_wire(value)


def test_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(UnsendableError, match="contains itself"):
        to_wire(value)


def test_scalars_of_other_libraries_become_plain() -> None:
    value = (np.float32(0.5), np.int64(3), Color.BLUE, datetime(2026, 1, 2, tzinfo=UTC))
    assert to_wire(value).value == [0.5, 3, "blue", "2026-01-02T00:00:00+00:00"]


def test_ref_with_an_asset_carries_its_id_alone() -> None:
    signed = "http://storage/bucket/key?X-Amz-Signature=abc"
    wire = to_wire(ImageRef(asset_id="a1", uri=signed, data=b"bytes"))
    assert wire.value == {"type": "image", "asset_id": "a1", "uri": ""}
    assert not wire.files


def test_bytes_wait_to_be_stored_wherever_they_are() -> None:
    wire = to_wire({"p": Point(x=1, image=ImageRef(data=b"png")), "raw": b"abc"})
    assert wire.value["p"] == {"x": 1, "image": {"type": "image", "uri": ""}}
    assert [(file.ref.type, file.ref.data) for file in wire.files] == [
        ("image", b"png"),
        ("asset", b"abc"),
    ]
    wire.files[0].target["asset_id"] = "a2"
    assert wire.value["p"]["image"]["asset_id"] == "a2"


@pytest.mark.parametrize(
    "uri",
    [
        "data:image/png;base64,AAAA",
        "http://storage/assets/key?X-Amz-Signature=abc",
        "file:///etc/passwd",
        "/etc/passwd",
    ],
)
def test_uri_that_means_nothing_elsewhere_is_not_sent(uri: str) -> None:
    wire = to_wire(AudioRef(uri=uri))
    assert uri not in json_bytes(wire.value).decode()
    assert wire.files[0].ref.uri == uri


@pytest.mark.parametrize(
    "uri", ["/v1/storage/temp/ab.png", "http://h/v1/storage/assets/x.png", "https://e.com/a.png"]
)
def test_uri_that_stays_right_is_sent(uri: str) -> None:
    wire = to_wire(AssetRef(uri=uri))
    assert (wire.value["uri"], wire.files) == (uri, [])


def test_walk_gives_up_where_it_was_told() -> None:
    with pytest.raises(TooMuchError):
        to_wire(["x" * 100] * 100, max_units=1000)
    assert to_wire(["x"] * 10, max_units=1000).value == ["x"] * 10
