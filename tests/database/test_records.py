"""Tests of record classes and of the checks of statements."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from app.database.records import record_columns, record_maker
from app.database.statement import Query
from tests.support.services import Service


class Owner(NamedTuple):
    owner_id: str


class Thing(NamedTuple):
    id: int
    owner: Owner
    name: str | None


class Found(NamedTuple):
    is_known: bool
    thing: Thing | None


def test_a_record_within_a_record_takes_its_own_columns() -> None:
    assert record_columns(Found) == ("is_known", "id", "owner_id", "name")
    make = record_maker(Found)
    assert make((True, 1, "o", None)) == Found(True, Thing(1, Owner("o"), None))


def test_an_optional_record_is_none_if_its_first_column_is_null() -> None:
    assert record_maker(Found)((False, None, None, None)) == Found(False, None)


async def test_a_query_returns_nested_records(service: Service) -> None:
    query = Query(
        """
select a.is_known, t.id, t.owner_id, t.name
from (values (true, 1), (false, 2)) as a (is_known, place)
left join (values (1, 'o', 'n')) as t (id, owner_id, name) on t.id = a.place
order by a.place""",
        Found,
    )
    rows = await service.run(query.all(service.db.pool))
    assert rows == [Found(True, Thing(1, Owner("o"), "n")), Found(False, None)]


async def test_columns_that_are_not_those_of_the_record_raise(service: Service) -> None:
    query = Query("select 'o' as owner_id, 1 as id", Owner)
    with pytest.raises(TypeError, match="Owner has the columns"):
        await service.run(query.all(service.db.pool))


@pytest.mark.parametrize("params", [{}, {"ids": 1}, {"id": 1, "other": 2}])
async def test_a_missing_or_unknown_parameter_raises(
    service: Service, params: dict[str, int]
) -> None:
    query = Query("select :id::text as owner_id", Owner)
    with pytest.raises(TypeError, match="parameters missing"):
        await service.run(query.all(service.db.pool, **params))
