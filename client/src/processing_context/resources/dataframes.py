"""Tables to and from `DataframeRef`; needs the extra `dataframe`."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

from processing_context._refs import ref_parts
from processing_context.convert import dataframe as codec
from processing_context.resources.files import FileMethods
from processing_context.wire.refs import DataframeRef

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 10_000
"""Most rows that a ref holds itself."""


class DataframeMethods(FileMethods):
    """Conversions of tables."""

    async def dataframe_from_pandas(
        self, data: pd.DataFrame, name: str | None = None, parent_id: str | None = None
    ) -> DataframeRef:
        """Return a ref to a table.

        With `name=` it is stored as a Parquet asset, which keeps types, index, missing values and
        time zones. Otherwise the ref holds columns and rows, up to 10,000; a longer table, or one
        with values that JSON does not have, becomes a temporary Parquet file.

        Raises:
            ValueError: It is not a DataFrame, columns share a name, or Parquet cannot hold a
                column.
        """
        if name is None:
            await asyncio.to_thread(codec.check_frame, data)
            table = await asyncio.to_thread(codec.rows_of, data) if len(data) <= MAX_ROWS else None
            if table is not None:
                return DataframeRef(columns=list(table[0]), data=table[1])
        content = await asyncio.to_thread(codec.encode_parquet, data)
        if name is None:
            return DataframeRef(uri=await self._store_temp(io.BytesIO(content), "parquet"))
        asset = await self.create_asset(name, codec.CONTENT_TYPE, content, parent_id)
        return DataframeRef(asset_id=asset.id, uri=self.asset_storage_url(asset.id))

    async def dataframe_to_pandas(self, df: Any) -> pd.DataFrame:
        """Return the table of a ref: columns and rows, or a Parquet or Arrow file.

        Raises:
            ValueError: The ref is empty, or the file is damaged or of another format.
        """
        data, _, _ = ref_parts(df)
        columns = df.get("columns") if isinstance(df, dict) else getattr(df, "columns", None)
        if columns is not None and isinstance(data, list):
            return await asyncio.to_thread(codec.frame_of, columns, data)
        return await asyncio.to_thread(codec.decode_table, await self.asset_to_bytes(df))
