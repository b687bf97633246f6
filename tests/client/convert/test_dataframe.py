"""Tests of tables as Parquet, and as columns and rows."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.pandas import column, data_frames, range_indexes
from pandas.testing import assert_frame_equal

from processing_context.convert.dataframe import decode_table, encode_parquet, frame_of, rows_of

TIMES = pd.date_range("2024-03-30", periods=4, freq="12h")
FRAMES: dict[str, Any] = {
    "integers": {"a": np.array([1, -(2**63), 2**63 - 1, 0])},
    "small integers": {"a": np.array([1, 2, 3, 4], dtype="uint8")},
    "floats": {"a": [1.5, float("nan"), float("inf"), -0.0]},
    "float32": {"a": np.array([0.1, 0.2, 0.3, 0.4], dtype="float32")},
    "booleans": {"a": [True, False, True, True]},
    "strings": {"a": ["x", None, "", "ü你"]},
    "nullable integers": {"a": pd.array([1, None, 3, 4], dtype="Int64")},
    "nullable booleans": {"a": pd.array([True, None, False, True], dtype="boolean")},
    "categories": {"a": pd.Categorical(["b", "a", "b", None], categories=["b", "a"], ordered=True)},
    "times": {"a": TIMES},
    "time zones": {"a": TIMES.tz_localize("Europe/Berlin")},
    "missing times": {"a": [TIMES[0], pd.NaT, TIMES[1], TIMES[2]]},
    "durations": {"a": pd.to_timedelta([1, 2, 3, 4], unit="s")},
    "periods": {"a": pd.period_range("2024-01", periods=4, freq="M")},
    "intervals": {"a": pd.interval_range(0, 4)},
    "nested lists": {"a": [[1, 2], [], None, [3]]},
    "bytes": {"a": [b"x", b"", None, b"\0"]},
    "column names that are numbers": {0: [1, 2], 1: [3, 4]},
}


@pytest.mark.parametrize("columns", FRAMES.values(), ids=FRAMES)
def test_parquet_keeps_types_and_values(columns: dict[Any, Any]) -> None:
    frame = pd.DataFrame(columns)
    assert_frame_equal(_without_arrays(decode_table(encode_parquet(frame))), frame)


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(5, 9), pd.Index([3, 1, 2, 7]), pd.Index(list("abcd"), name="key"), TIMES,
        pd.MultiIndex.from_product([["x", "y"], [1, 2]], names=["letter", "number"]),
    ],
    ids=["range", "numbers", "named", "times", "levels"],
)  # fmt: skip
def test_parquet_keeps_the_index(index: pd.Index) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]}, index=index)
    assert_frame_equal(decode_table(encode_parquet(frame)), frame, check_freq=False)


@pytest.mark.parametrize(
    "frame", [pd.DataFrame(), pd.DataFrame({"a": []}), pd.DataFrame(index=[1])]
)
def test_an_empty_table_is_kept(frame: pd.DataFrame) -> None:
    found = decode_table(encode_parquet(frame))
    assert_frame_equal(found, frame, check_column_type=False)


@settings(max_examples=30, deadline=None)
@given(
    data_frames(
        [column("i", dtype="int64"), column("f", dtype="float64"), column("b", dtype="bool"),
         column("s", elements=st.text(st.characters(exclude_categories=["Cs"])), dtype="str")],
        index=range_indexes(),
    )
)  # fmt: skip
def test_any_table_survives_parquet(frame: pd.DataFrame) -> None:
    assert_frame_equal(decode_table(encode_parquet(frame)), frame)


def test_an_arrow_file_is_read() -> None:
    out = io.BytesIO()
    pyarrow.feather.write_feather(pa.table({"a": [1, 2]}), out)
    assert decode_table(out.getvalue())["a"].tolist() == [1, 2]


def test_columns_of_one_name_are_named() -> None:
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"])
    for convert in (encode_parquet, rows_of):
        with pytest.raises(ValueError, match="several columns are called a: rename"):
            convert(frame)


@pytest.mark.parametrize(
    "value", [pd.DataFrame({"a": [1, "x", b"y"]}), pd.DataFrame({"a": [1j]}), [1], None]
)
def test_what_parquet_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"no Parquet form|expected a pandas DataFrame"):
        encode_parquet(value)


@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n", b"PAR1", b"PAR1xxxxPAR1", b"ARROW1\0\0"])
def test_a_damaged_or_other_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a Parquet|damaged"):
        decode_table(data)


def test_every_cut_of_a_parquet_file_is_refused() -> None:
    data = encode_parquet(pd.DataFrame({"a": range(100), "b": ["x"] * 100}))
    for length in range(4, len(data), 37):
        with pytest.raises(ValueError, match="damaged"):
            decode_table(data[:length])


def test_rows_hold_plain_values() -> None:
    frame = pd.DataFrame({"i": [1, 2], "f": [0.5, float("nan")], "s": ["x", None]})
    assert rows_of(frame) == (["i", "f", "s"], [[1, 0.5, "x"], [2, None, None]])
    columns, rows = rows_of(frame) or ([], [])
    assert_frame_equal(frame_of(columns, rows), frame, check_dtype=False)


def test_a_named_index_becomes_columns() -> None:
    frame = pd.DataFrame({"v": [1, 2]}, index=pd.Index(["x", "y"], name="key"))
    assert rows_of(frame) == (["key", "v"], [["x", 1], ["y", 2]])
    assert rows_of(pd.DataFrame({"v": [1, 2, 3]}).iloc[[2, 0]]) == (["v"], [[3], [1]])


@pytest.mark.parametrize("value", [float("inf"), b"x", [1], 1j])
def test_values_without_a_json_form_have_no_rows(value: Any) -> None:
    assert rows_of(pd.DataFrame({"a": [value]}, dtype=object)) is None


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 has 1 values for 2 columns"):
        frame_of(["a", {"name": "b", "data_type": "int"}], [[1, 2], [3]])


def _without_arrays(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with lists in place of numpy arrays."""
    return (
        frame.map(lambda value: value.tolist() if isinstance(value, np.ndarray) else value)
        if (frame.map(lambda value: isinstance(value, np.ndarray)).to_numpy().any())
        else frame
    )
