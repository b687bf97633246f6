"""SQL statements with named parameters and typed rows, run by asyncpg.

A statement is SQLAlchemy Core or SQL text with `:name` parameters, compiled once to the positional
parameters of asyncpg:

    class UserRecord(NamedTuple):
        id: str
        name: str

    _GET = Query("select id, name from users where id = :user_id", UserRecord)

    async def get(on: Executor, user_id: str) -> UserRecord | None:
        return await _GET.one(on, user_id=user_id)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.sql import Executable

from app.database.records import RowT, record_columns, record_maker

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
"""A connection of asyncpg, from the pool or outside of it."""

Executor: TypeAlias = "Connection | asyncpg.Pool[asyncpg.Record]"
"""Object that runs statements: a connection, usually in a transaction, or the pool."""

T = TypeVar("T")

_DIALECT = dialect()  # type: ignore[no-untyped-call]
_PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")
"""Matches `:name`, but neither the cast `::text` nor the time format `'HH24:MI'`."""


class Statement:
    """SQL statement that returns no rows.

    Args:
        statement: SQLAlchemy Core, or SQL text with `:name` parameters (`::type` casts are kept).

    Raises:
        TypeError: From each call, if a parameter is missing or unknown.
    """

    def __init__(self, statement: str | Executable) -> None:
        self._literals: dict[str, Any] = {}
        if isinstance(statement, str):
            self._names = tuple(dict.fromkeys(_PARAMETER.findall(statement)))
            numbers = {name: f"${number}" for number, name in enumerate(self._names, 1)}
            self.sql = _PARAMETER.sub(lambda found: numbers[found[1]], statement)
        else:
            self._compile(statement)
        self._required = frozenset(self._names) - self._literals.keys()

    def _compile(self, statement: Executable) -> None:
        compiled = statement.compile(  # type: ignore[attr-defined]
            dialect=_DIALECT, compile_kwargs={"render_postcompile": True}
        )
        self.sql = str(compiled)
        self._names = tuple(compiled.positiontup or ())
        # Literals of a composed statement are parameters that already have values.
        self._literals = {
            name: compiled.binds[name].value
            for name in self._names
            if not compiled.binds[name].required
        }

    async def execute(self, on: Executor, *, timeout: float | None = None, **params: Any) -> int:
        """Run the statement; return the number of rows inserted, updated or deleted."""
        status = await on.execute(self.sql, *self._arguments(params), timeout=timeout)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    def _arguments(self, params: dict[str, Any]) -> list[Any]:
        if params.keys() != self._required:
            missing = sorted(self._required - params.keys())
            unknown = sorted(params.keys() - self._required)
            raise TypeError(f"parameters missing: {missing}, unknown: {unknown} in {self.sql}")
        if not self._literals:
            return [params[name] for name in self._names]
        values = self._literals | params
        return [values[name] for name in self._names]


class Query(Statement, Generic[RowT]):
    """SQL statement that returns rows.

    Args:
        statement: SQLAlchemy Core, or SQL text with `:name` parameters.
        row: The record class of the rows; its fields are the columns, in their order.

    Raises:
        TypeError: From each call, if the columns differ from the fields of `row`.
    """

    def __init__(self, statement: str | Executable, row: type[RowT]) -> None:
        super().__init__(statement)
        self._row = row
        self._columns = record_columns(row)
        self._make = record_maker(row)
        self._are_columns_checked = False

    async def one(self, on: Executor, **params: Any) -> RowT | None:
        """Return the first row, or None."""
        record = await on.fetchrow(self.sql, *self._arguments(params))
        return None if record is None else self._rows([record])[0]

    async def only(self, on: Executor, **params: Any) -> RowT:
        """Return the first row of a statement that always returns one.

        Raises:
            LookupError: The statement returned no row.
        """
        row = await self.one(on, **params)
        if row is None:
            raise LookupError(f"no row was returned by {self.sql}")
        return row

    async def all(self, on: Executor, **params: Any) -> list[RowT]:
        """Return all rows."""
        return self._rows(await on.fetch(self.sql, *self._arguments(params)))

    async def all_of_each(self, on: Connection, many: Iterable[dict[str, Any]]) -> list[RowT]:
        """Run once for each set of parameters, in one round trip; return the rows of all runs."""
        return self._rows(await on.fetchmany(self.sql, [self._arguments(each) for each in many]))

    def _rows(self, records: Sequence[asyncpg.Record]) -> list[RowT]:
        if records and not self._are_columns_checked:
            columns = tuple(records[0].keys())
            if columns != self._columns:
                raise TypeError(
                    f"{self._row.__qualname__} has the columns {self._columns}, "
                    f"the statement returns {columns}"
                )
            self._are_columns_checked = True
        return list(map(self._make, records))


class Scalar(Statement, Generic[T]):
    """SQL statement that returns one column.

    Args:
        statement: SQLAlchemy Core, or SQL text with `:name` parameters.
        kind: The type of the column, as asyncpg returns it; only type checkers use it.
    """

    def __init__(self, statement: str | Executable, kind: type[T]) -> None:
        super().__init__(statement)
        self._kind = kind

    async def value(self, on: Executor, **params: Any) -> T | None:
        """Return the value of the first row; None if it is null or there is no row."""
        value: T | None = await on.fetchval(self.sql, *self._arguments(params))
        return value

    async def only(self, on: Executor, **params: Any) -> T:
        """Return the value of a statement that always returns one.

        Raises:
            LookupError: The statement returned no row, or null.
        """
        value = await self.value(on, **params)
        if value is None:
            raise LookupError(f"no value was returned by {self.sql}")
        return value

    async def values(self, on: Executor, **params: Any) -> list[T]:
        """Return the values of all rows."""
        return [record[0] for record in await on.fetch(self.sql, *self._arguments(params))]
