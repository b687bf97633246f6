"""Statements on assets: all of them hot or made hot, as the service runs them between transfers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import (
    ARRAY,
    Boolean,
    Interval,
    Select,
    Text,
    bindparam,
    case,
    cast,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import aliased

from app.assets.models import AssetRow
from app.database.engine import Hot
from app.database.statement import Connection
from processing_context.wire.assets import FOLDER

Row = asyncpg.Record
On: TypeAlias = "Connection | asyncpg.Pool[asyncpg.Record]"

_TABLE = AssetRow.__table__
# The metadata stay the text that they are: parsed and written again they would cost as much as the
# query.
COLUMNS = [
    cast(column, Text).label(column.name) if column.name == "metadata" else column
    for column in _TABLE.c
    if column.name != "search_name"
]
_MADE_BY_DATABASE = frozenset({"created_at", "updated_at"})
_SET_LATER = frozenset({"put_until", "sha256_due", "facts_due", "thumb_key"})
_FACTS_DUE = case((bindparam("wants_facts", type_=Boolean), func.now()))


def _own(statement: Select[Any]) -> Select[Any]:
    return statement.where(
        AssetRow.id == bindparam("asset_id", type_=Text),
        AssetRow.user_id == bindparam("user_id", type_=Text),
    )


ONE = Hot(_own(select(*COLUMNS)))
ONE_FOR_UPDATE = Hot(_own(select(*COLUMNS)).with_for_update())
PARENT_TYPE = Hot(_own(select(AssetRow.content_type)))
FOLDERS = Hot(
    select(AssetRow.id).where(
        AssetRow.id == func.any(bindparam("ids", type_=ARRAY(Text))),
        AssetRow.user_id == bindparam("user_id", type_=Text),
        AssetRow.content_type == FOLDER,
    )
)
INSERT = Hot(
    insert(AssetRow)
    .values(
        {
            column.name: bindparam(column.name, type_=column.type)
            for column in _TABLE.c
            if column.name not in _MADE_BY_DATABASE | _SET_LATER
        }
        | {
            "put_until": func.now() + bindparam("put_ttl", type_=Interval),
            "facts_due": _FACTS_DUE,
        }
    )
    .returning(*COLUMNS)
)
EDIT = Hot(
    update(AssetRow)
    .where(AssetRow.id == bindparam("asset_id", type_=Text))
    .values(
        {
            AssetRow.name: bindparam("new_name", type_=Text),
            AssetRow.search_name: bindparam("new_search_name", type_=Text),
            AssetRow.parent_id: bindparam("new_parent_id", type_=Text),
            AssetRow.content_type: bindparam("new_content_type", type_=Text),
            AssetRow.meta: bindparam("new_metadata", type_=_TABLE.c["metadata"].type),
            AssetRow.updated_at: func.now(),
        }
    )
    .returning(*COLUMNS)
)
REPLACE = Hot(
    update(AssetRow)
    .where(AssetRow.id == bindparam("asset_id", type_=Text))
    .values(
        {
            AssetRow.version: bindparam("new_version", type_=Text),
            AssetRow.size: bindparam("new_size", type_=_TABLE.c.size.type),
            AssetRow.sha256: bindparam("new_sha256", type_=Text),
            AssetRow.content_type: bindparam("new_content_type", type_=Text),
            AssetRow.status: "ready",
            AssetRow.duration: None,
            AssetRow.width: None,
            AssetRow.height: None,
            AssetRow.put_until: None,
            AssetRow.part_size: None,
            AssetRow.sha256_due: None,
            AssetRow.facts_due: _FACTS_DUE,
            AssetRow.thumb_key: None,
            AssetRow.updated_at: func.now(),
        }
    )
    .returning(*COLUMNS)
)
MARK_READY = Hot(
    update(AssetRow)
    .where(
        AssetRow.id == bindparam("asset_id", type_=Text),
        AssetRow.version == bindparam("of_version", type_=Text),
        AssetRow.status == "pending",
    )
    .values(
        {
            AssetRow.status: "ready",
            AssetRow.upload_id: None,
            AssetRow.sha256: func.coalesce(AssetRow.sha256, bindparam("told_sha256", type_=Text)),
            AssetRow.sha256_due: case((AssetRow.part_size.is_not(None), func.now())),
            AssetRow.updated_at: func.now(),
        }
    )
    .returning(*COLUMNS)
)

EXTEND = """
update assets set put_until = greatest(put_until, now() + $2::interval) where id = $1
returning put_until"""
CLAIM_SHA256 = """
update assets set sha256_due = now() + $1::interval
where id = (
  select id from assets where sha256_due <= now() and status = 'ready'
  order by sha256_due limit 1 for update skip locked)
returning id, version"""
DELAY_SHA256 = """
update assets set sha256_due = now() + $3::interval
where id = $1 and version = $2 and sha256_due is not null"""
SET_SHA256 = """
update assets set
  status = case when sha256 <> $3 then 'corrupt' else status end,
  sha256 = $3, sha256_due = null, updated_at = now()
where id = $1 and version = $2 and sha256_due is not null
returning status"""
USED_BYTES = "select coalesce(sum(bytes), 0)::bigint from asset_bytes where user_id = $1"
LOCK_BYTES = "select pg_advisory_xact_lock(hashtextextended('asset bytes of ' || $1, 0))"
HAS_CHILDREN = "select exists (select from assets where parent_id = $1)"
IS_WITHIN = """
with recursive above as (
  select id, parent_id from assets where id = $1
  union all select a.id, a.parent_id from assets a join above on a.id = above.parent_id)
select exists (select from above where id = $2)"""
# Both a move and the removal of a tree look at more rows than they lock.
LOCK_TREES = "select pg_advisory_xact_lock(hashtextextended('asset trees of ' || $1, 0))"
DELETE_TREE = """
with recursive tree as (
  select id from assets where id = $1
  union all select a.id from assets a join tree on a.parent_id = tree.id)
delete from assets using tree where assets.id = tree.id
returning assets.id, assets.version, assets.put_until, assets.upload_id"""
DELETE_PENDING = """
delete from assets where id = $1 and user_id = $2 and status = 'pending'
returning id, version, put_until, upload_id"""


def search_name(name: str) -> str:
    """Return a name as searches see it: without case, one form of each character."""
    return unicodedata.normalize("NFKC", name).casefold()


def _like(value: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", value)


async def page(on: On, filters: Mapping[str, Any], *, user_id: str, limit: int) -> Sequence[Row]:
    """Assets, newest first.

    Args:
        on: Where to run it.
        filters: Those of `parent_id, workflow_id, job_id, content_type, q, after, recursive` that
            are given; neither `parent_id` nor `recursive`: the top level.
        user_id: The owner.
        limit: How many at most.
    """
    params = dict(filters)
    shape = set(params)
    if str(params.get("content_type", "")).endswith("/"):
        shape = shape - {"content_type"} | {"content_prefix"}
        params["content_prefix"] = _like(params["content_type"]) + "%"
    if "q" in params:
        params["q"] = f"%{_like(search_name(params['q']))}%"
    statement = _page_statement(frozenset(shape))
    return await statement.rows(on, **params, user_id=user_id, count=limit)


@lru_cache(maxsize=256)
def _page_statement(shape: frozenset[str]) -> Hot:
    query = (
        select(*COLUMNS)
        .where(AssetRow.user_id == bindparam("user_id", type_=Text), AssetRow.status != "pending")
        .order_by(AssetRow.id.desc())
        .limit(bindparam("count"))
    )
    conditions = {
        "workflow_id": AssetRow.workflow_id == bindparam("workflow_id", type_=Text),
        "job_id": AssetRow.job_id == bindparam("job_id", type_=Text),
        "content_type": AssetRow.content_type == bindparam("content_type", type_=Text),
        "content_prefix": AssetRow.content_type.like(
            bindparam("content_prefix", type_=Text), escape="\\"
        ),
        "q": AssetRow.search_name.like(bindparam("q", type_=Text), escape="\\"),
        "after": AssetRow.id < bindparam("after", type_=Text),
    }
    query = query.where(*(conditions[name] for name in sorted(shape & set(conditions))))
    return Hot(query.where(*_place(shape)))


def _place(shape: frozenset[str]) -> list[Any]:
    parent_id = bindparam("parent_id", type_=Text)
    if "recursive" not in shape:
        return [
            AssetRow.parent_id == parent_id
            if "parent_id" in shape
            else AssetRow.parent_id.is_(None)
        ]
    if "parent_id" not in shape:
        return []
    child = aliased(AssetRow)
    below = select(child.id).where(child.parent_id == parent_id).cte("below", recursive=True)
    deeper = aliased(AssetRow)
    below = below.union_all(select(deeper.id).where(deeper.parent_id == below.c.id))
    return [AssetRow.id.in_(select(below.c.id))]


async def many(on: On, ids: Sequence[str], *, user_id: str) -> Sequence[Row]:
    """Those of the ids that are the user's."""
    return await _MANY.rows(on, ids=list(ids), user_id=user_id)


_MANY = Hot(
    select(*COLUMNS).where(
        AssetRow.id == func.any(bindparam("ids", type_=ARRAY(Text))),
        AssetRow.user_id == bindparam("user_id", type_=Text),
    )
)
