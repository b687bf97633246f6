"""Tables: pandas to and from Parquet, Arrow, and columns with rows; needs the extra `dataframe`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from processing_context._extras import require

if TYPE_CHECKING:
    import pandas as pd

CONTENT_TYPE = "application/vnd.apache.parquet"
_PARQUET = b"PAR1"
_ARROW = b"ARROW1"


def check_frame(data: Any) -> None:
    """Check that an object is a DataFrame whose columns have different names.

    Raises:
        ValueError: It is not.
    """
    pandas = require("pandas", extra="dataframe")
    if not isinstance(data, pandas.DataFrame):
        raise ValueError(f"expected a pandas DataFrame, not {type(data).__name__}")
    if not data.columns.is_unique:
        double = sorted({str(name) for name in data.columns[data.columns.duplicated()]})
        raise ValueError(f"several columns are called {', '.join(double)}: rename them")


def encode_parquet(data: pd.DataFrame) -> bytes:
    """Return a table as Parquet: types, index, missing values and time zones are kept.

    Raises:
        ValueError: It is not a DataFrame, or a column has values that Parquet cannot hold.
    """
    check_frame(data)
    pyarrow = require("pyarrow", extra="dataframe")
    parquet = require("pyarrow.parquet", extra="dataframe")
    out = io.BytesIO()
    try:
        parquet.write_table(pyarrow.Table.from_pandas(data), out)
    except (pyarrow.ArrowException, TypeError, ValueError) as exc:
        raise ValueError(f"the table has no Parquet form: {exc}") from exc
    return out.getvalue()


def decode_table(data: bytes) -> pd.DataFrame:
    """Return the table in a Parquet or Arrow file.

    Raises:
        ValueError: The file is damaged, or has another format.
    """
    pyarrow = require("pyarrow", extra="dataframe")
    try:
        if data.startswith(_PARQUET):
            table = require("pyarrow.parquet", extra="dataframe").read_table(io.BytesIO(data))
        elif data.startswith(_ARROW):
            table = pyarrow.ipc.open_file(data).read_all()
        else:
            raise ValueError(f"not a Parquet or Arrow file; the content begins with {data[:16]!r}")
        frame: pd.DataFrame = table.to_pandas()
    except (pyarrow.ArrowException, OSError) as exc:
        raise ValueError(f"the table is damaged: {exc}") from exc
    return frame


def rows_of(data: pd.DataFrame) -> tuple[list[str], list[list[Any]]] | None:
    """Return the names of the columns, and the rows; None if they have no JSON form.

    A missing value becomes None. Levels of a named or text index come first, as columns.
    """
    check_frame(data)
    pandas = require("pandas", extra="dataframe")
    is_numbered = data.index.nlevels == 1 and data.index.name is None
    if not (is_numbered and pandas.api.types.is_integer_dtype(data.index.dtype)):
        data = data.reset_index()
    objects = data.astype(object).where(data.notna(), None)
    rows = objects.to_numpy(dtype=object).tolist()
    is_plain = all(_has_json_form(value) for row in rows for value in row)
    return ([str(name) for name in data.columns], rows) if is_plain else None


def frame_of(columns: Sequence[Any], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Return the table of named columns and rows.

    Args:
        columns: Names, or dicts with a `name`.
        rows: Lists with a value for each column.

    Raises:
        ValueError: A row has another number of values.
    """
    pandas = require("pandas", extra="dataframe")
    names = [column["name"] if isinstance(column, dict) else column for column in columns]
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise ValueError(f"row {number} has {len(row)} values for {len(names)} columns")
    frame: pd.DataFrame = pandas.DataFrame(list(rows), columns=names)
    return frame


def _has_json_form(value: Any) -> bool:
    if isinstance(value, float):
        return value - value == 0  # neither infinite nor NaN
    return value is None or isinstance(value, bool | int | str) or hasattr(value, "isoformat")
