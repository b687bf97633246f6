"""Statements that read a page of a list, limited in rows and in bytes."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple

from app.database.records import RowT
from app.database.statement import Executor, Query

PAGE_BYTES = 8 * 1024 * 1024
"""Size of the items from which a page ends early."""


class Listed(NamedTuple, Generic[RowT]):
    """Rows of a page, and whether the list has more rows after them."""

    rows: list[RowT]
    has_more: bool


class PageQuery(Query[RowT]):
    """SQL statement that reads a page of a list, ordered by a key.

    It first reads the keys and the sizes of the rows, and then only the rows that fit: neither
    PostgreSQL nor the service holds a page of large rows in memory.

    Args:
        row: The record class of the rows; its fields are the columns, in their order.
        columns: The SQL of the columns.
        table: The table, with its alias.
        key: The SQL of the key, a column of the table.
        size: The SQL of the size of a row in bytes; it must not exceed the size of the JSON.
        where: The condition for the rows of the list.
        scope: A condition that makes the key unique, if it is not unique in the whole table.
        order: The order of the keys, `asc` or `desc`.
    """

    def __init__(
        self,
        row: type[RowT],
        *,
        columns: str,
        table: str,
        key: str,
        size: str,
        where: str,
        scope: str = "true",
        order: str = "desc",
    ) -> None:
        # The lateral query with `offset 0` is a look-up for each key: the planner, which does not
        # know the limit, would otherwise join with the whole table.
        super().__init__(
            f"""
with page as materialized (
    select page_key, row_number() over listed as page_place,
        sum(page_bytes) over listed as page_bytes, count(*) over () as page_found
    from (
        select {key} as page_key, ({size})::bigint as page_bytes from {table}
        where {where} order by {key} {order} limit :limit
    ) found
    window listed as (order by page_key {order} rows unbounded preceding)
)
select listed.*, page_found from page cross join lateral (
    select {columns} from {table} where {key} = page_key and {scope} offset 0
) listed
where page_place <= :size and (page_place = 1 or page_bytes <= :max_bytes)
order by page_place""",
            row,
        )
        make = self._make
        self._columns = (*self._columns, "page_found")
        self._make = lambda record: make(record[:-1])

    async def read(
        self, on: Executor, *, size: int, max_bytes: int = PAGE_BYTES, **params: Any
    ) -> Listed[RowT]:
        """Return at most `size` rows with at most `max_bytes`, but the first row in any case."""
        arguments = self._arguments(
            {**params, "limit": size + 1, "size": size, "max_bytes": max_bytes}
        )
        records = await on.fetch(self.sql, *arguments)
        has_more = bool(records) and records[0]["page_found"] > len(records)
        return Listed(self._rows(records), has_more)
