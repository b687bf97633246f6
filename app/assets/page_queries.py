"""Statement that lists assets by filters."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from app.assets.filters import AssetFilters
from app.assets.queries import COLUMNS, AssetRecord, search_name
from app.database.like import contains, escaped
from app.database.page_query import Listed, PageQuery
from app.database.statement import Executor
from processing_context.wire.media_types import essence

_ESSENCE = "lower(rtrim(split_part(content_type, ';', 1)))"
"""The media type in lower case, without its parameters."""
_CONDITIONS = {
    "after": "id < :after",
    "content_prefix": f"{_ESSENCE} like :content_prefix",
    "content_type": f"{_ESSENCE} = :content_type",
    "job_id": "job_id = :job_id",
    "parent_id": "parent_id = :parent_id",
    "q": "search_name like :q",
    "workflow_id": "workflow_id = :workflow_id",
}
_AT_TOP = "parent_id is null"
_BELOW = """
id in (
  with recursive below as (
    select id from assets where parent_id = :parent_id
    union all select a.id from assets a join below on a.parent_id = below.id)
  select id from below)"""


async def page(
    on: Executor, filters: AssetFilters, *, user_id: str, after: str | None, size: int
) -> Listed[AssetRecord]:
    """Return a page of a user's assets, newest first."""
    parameters = _parameters(filters, after)
    statement = _page(frozenset(parameters), recursive=bool(filters.recursive))
    return await statement.read(on, **parameters, user_id=user_id, size=size)


def _parameters(filters: AssetFilters, after: str | None) -> dict[str, Any]:
    content_type = essence(filters.content_type or "")
    is_prefix = content_type.endswith("/")
    parameters = {
        "after": after,
        "content_prefix": escaped(content_type) + "%" if is_prefix else None,
        "content_type": None if is_prefix else content_type,
        "job_id": filters.job_id,
        "parent_id": filters.parent_id,
        "q": contains(search_name(filters.q)) if filters.q else None,
        "workflow_id": filters.workflow_id,
    }
    return {name: value for name, value in parameters.items() if value}


@lru_cache(maxsize=256)
def _page(parameters: frozenset[str], *, recursive: bool) -> PageQuery[AssetRecord]:
    conditions = {name: _CONDITIONS[name] for name in sorted(parameters)}
    if recursive and "parent_id" in conditions:
        conditions["parent_id"] = _BELOW
    elif not recursive:
        conditions.setdefault("parent_id", _AT_TOP)
    extra = "".join(f" and {condition}" for condition in conditions.values())
    return PageQuery(
        AssetRecord,
        columns=COLUMNS,
        table="assets",
        key="id",
        size="octet_length(metadata::text) + octet_length(name)",
        where=f"user_id = :user_id and status <> 'pending'{extra}",
    )
