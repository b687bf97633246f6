"""Tests of the values that nodes return: checked against the return annotation."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import pytest

from processing_context.nodes.runner.annotations import SlotType
from processing_context.wire.refs import AssetRef, ImageRef, is_empty_ref
from tests.support.graphs import Run, failure, graph


class Color(StrEnum):
    RED = "red"


class LooksLikeARef:
    uri, asset_id, data = "", "a1", None


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (str, "text"),
        (str, Color.RED),
        (float, 1),
        (float, np.float32(0.5)),
        (int, np.int64(3)),
        (int, True),
        (int | None, None),
        (ImageRef, ImageRef(asset_id="a1")),
        (ImageRef, AssetRef(asset_id="a1")),
        (ImageRef, {"type": "image", "uri": "", "asset_id": "a1"}),
        (ImageRef, LooksLikeARef()),
        (ImageRef | None, None),
        (list[ImageRef], [ImageRef(), {"type": "image", "asset_id": "a1"}]),
        (dict[str, Any], {"a": object()}),
        (Color, "red"),
        (Literal["fast", "good"], "good"),
        (np.ndarray, np.zeros(3)),
        (object, None),
    ],
)
def test_values_that_fit_the_annotation_pass(annotation: Any, value: Any) -> None:
    SlotType("output", annotation).check(value)


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (str, None, "None for output 'output', which its return annotation declares as str"),
        (str, 5, "a value of type int for output 'output'"),
        (str, b"bytes", "a value of type bytes for output 'output'"),
        (int, "5", "a value of type str for output 'output'"),
        (int, 2.5, "a value of type float for output 'output'"),
        (ImageRef, None, "None for output 'output', which its return annotation declares as Image"),
        (ImageRef, b"\x89PNG", "a value of type bytes"),
        (ImageRef, {"type": "audio", "uri": "x"}, r"declares as ImageRef \(type: Input should be"),
        (list[int], [1, "two"], r"declares as list\[int\] \(1: Input should be a valid integer"),
        (int | None, "x", r"declares as int \| None"),
        (Literal["fast", "good"], "slow", "declares as Literal"),
        (np.ndarray, [1], "a value of type list for output 'output', .* as ndarray"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_the_right_one(
    annotation: Any, value: Any, said: str
) -> None:
    with pytest.raises(TypeError, match=f"process returned .*{said}"):
        SlotType("output", annotation).check(value)


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ("sample.ForgetsToReturn", "returned None for output 'output', .* declares as ImageRef"),
        ("sample.WrongSlot", "a value of type str for output 'right', .* declares as int"),
        ("sample.StreamsWrong", "a value of type int for output 'output', .* declares as str"),
    ],
)
async def test_the_node_that_returns_the_wrong_type_is_blamed_itself(node: str, said: str) -> None:
    run = Run()
    error = await failure(
        run,
        graph({"bad": (node, {}), "user": ("sample.Takes", {})}, f"bad.{slot(node)} > user.image"),
    )
    assert (error.code, error.node_id, error.traceback) == ("node_failed", "bad", None)
    assert error.message.startswith(f"{node} (bad): TypeError: process returned")
    assert re.search(said, error.message)
    states = {m["node_id"]: m["status"] for m in run.messages("node_update")}
    assert states == {"bad": "failed"}


def slot(node: str) -> str:
    return "right" if node == "sample.WrongSlot" else "output"


@pytest.mark.parametrize(
    "value",
    [
        {"type": "image"},
        {"type": "image", "uri": "", "asset_id": None, "data": None, "temp_id": None},
        {"type": "dataframe", "uri": "", "asset_id": None, "columns": None, "data": None},
        {"type": "some_editors_own", "uri": "", "asset_id": None},
        ImageRef(),
    ],
)
def test_a_ref_without_a_file_is_empty(value: Any) -> None:
    assert is_empty_ref(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        {},
        {"type": "image", "uri": "https://example.com/a.png"},
        {"type": "image", "asset_id": "a1"},
        {"type": "image", "data": ""},
        {"type": "text", "body": "a dict of the user's"},
        {"type": "circle", "radius": 2},
        {"type": 3, "uri": ""},
        ImageRef(data=b""),
    ],
)
def test_other_values_are_no_empty_refs(value: Any) -> None:
    assert not is_empty_ref(value)


EMPTY = {"type": "image", "uri": "", "asset_id": None, "data": None}


@pytest.mark.parametrize("photo", [EMPTY, None])
async def test_an_empty_ref_as_a_param_is_not_given(photo: Any) -> None:
    given = {"type": "image", "uri": "", "asset_id": "a1"}
    with_default = graph({"in": ("input.ImageInput", {"name": "photo", "value": given})})
    await Run().of(with_default, photo=photo)
    without = graph({"in": ("input.ImageInput", {"name": "photo"})})
    error = await failure(Run(), without, photo=photo)
    assert "param 'photo' is required" in error.message


async def test_an_empty_ref_in_a_property_is_its_default() -> None:
    looking = graph(
        {
            "m": ("sample.Maybe", {"image": EMPTY, "text": None}),
            "out": ("output.AnyOutput", {"name": "o"}),
        },
        "m.output > out.value",
    )
    assert await Run().of(looking) == {"o": ["no image", "default"]}
    error = await failure(
        Run(), graph({"out": ("output.ImageOutput", {"name": "o", "value": EMPTY})})
    )
    assert "value: Field required" in error.message
