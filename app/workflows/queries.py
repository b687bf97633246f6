"""Statements on workflows and their versions."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, cast

from app.database.like import contains
from app.database.page_query import Listed, PageQuery
from app.database.statement import Connection, Executor, Query, Scalar, Statement


class WorkflowRecord(NamedTuple):
    """A workflow; `graph` and `settings` are JSON text."""

    id: str
    user_id: str
    name: str
    description: str
    tags: list[str]
    access: str
    graph: str
    settings: str
    thumbnail_url: str | None
    version: int
    created_at: datetime
    updated_at: datetime


class ListedWorkflow(NamedTuple):
    """A workflow in a list, without its graph; `settings` is JSON text."""

    id: str
    user_id: str
    name: str
    description: str
    tags: list[str]
    access: str
    settings: str
    thumbnail_url: str | None
    version: int
    created_at: datetime
    updated_at: datetime


class VersionRecord(NamedTuple):
    """A version of a workflow; `graph` and `settings` are JSON text."""

    workflow_id: str
    version: int
    name: str
    description: str
    graph: str
    settings: str
    created_at: datetime


_COLUMNS = """
id, user_id, name, description, tags, access, graph::text as graph, settings::text as settings,
thumbnail_url, version, created_at, updated_at"""
_VERSION_COLUMNS = """
workflow_id, version, name, description, graph::text as graph, settings::text as settings,
created_at"""

_LISTED_COLUMNS = """
id, user_id, name, description, tags, access, settings::text as settings, thumbnail_url, version,
created_at, updated_at"""
_TEXT_BYTES = "octet_length(name) + octet_length(description) + octet_length(settings::text)"
_LISTED_BYTES = f"""
{_TEXT_BYTES} + octet_length(array_to_string(tags, ','))
+ coalesce(octet_length(thumbnail_url), 0)"""

_GET_READABLE = Query(
    f"""
select {_COLUMNS} from workflows
where id = :workflow_id and (user_id = :user_id or access = 'public')""",
    WorkflowRecord,
)
_LOCK_OWN = Query(
    f"""
select {_COLUMNS} from workflows where id = :workflow_id and user_id = :user_id for update""",
    WorkflowRecord,
)
_INSERT = Query(
    f"""
insert into workflows
    (id, user_id, name, description, tags, access, graph, settings, thumbnail_url, version)
values (:id, :user_id, :name, :description, :tags, :access, :graph::text::json, :settings,
    :thumbnail_url, 1)
returning {_COLUMNS}""",
    WorkflowRecord,
)
_UPDATE = Query(
    f"""
update workflows
set name = :name, description = :description, tags = :tags, access = :access,
    graph = :graph::text::json, settings = :settings, thumbnail_url = :thumbnail_url,
    version = version + 1, updated_at = now()
where id = :id returning {_COLUMNS}""",
    WorkflowRecord,
)
_INSERT_VERSION = Statement(
    """
insert into workflow_versions (workflow_id, version, name, description, graph, settings)
select id, version, name, description, graph, settings from workflows where id = :workflow_id"""
)
_DELETE = Statement("delete from workflows where id = :workflow_id")
_VERSION = Query(
    f"""
select {_VERSION_COLUMNS} from workflow_versions
where workflow_id = :workflow_id and version = :version""",
    VersionRecord,
)
_VERSIONS = PageQuery(
    VersionRecord,
    columns=_VERSION_COLUMNS,
    table="workflow_versions",
    key="version",
    size=f"{_TEXT_BYTES} + octet_length(graph::text)",
    where="workflow_id = :workflow_id and version < coalesce(:before, 2147483647)",
    scope="workflow_id = :workflow_id",
)
_DELETE_OF_USER = Statement(
    """
delete from workflows where id in (
    select id from workflows where user_id = :user_id limit :limit)"""
)
_COUNT = Scalar(
    """
select count(*) from (select from workflows where user_id = :user_id limit :limit) counted""",
    int,
)
_FILTERS = {
    "user_id": "user_id = :user_id",
    "access": "access = :access",
    "q": "(name ilike :q or description ilike :q)",
    "tag": "tags @> array[:tag::text]",
    "after": "id < :after",
}


async def get_readable(on: Executor, workflow_id: str, *, user_id: str) -> WorkflowRecord | None:
    """Return a workflow that a user owns or that is public, or None."""
    return await _GET_READABLE.one(on, workflow_id=workflow_id, user_id=user_id)


async def lock_own(on: Connection, workflow_id: str, *, user_id: str) -> WorkflowRecord | None:
    """Lock a user's own workflow until the end of the transaction; return it, or None."""
    return await _LOCK_OWN.one(on, workflow_id=workflow_id, user_id=user_id)


async def insert(on: Connection, workflow_id: str, user_id: str, **values: Any) -> WorkflowRecord:
    """Insert a workflow and its first version; `values` are the editable fields.

    The graph is JSON text.
    """
    row = await _INSERT.only(on, id=workflow_id, user_id=user_id, **values)
    await _INSERT_VERSION.execute(on, workflow_id=workflow_id)
    return row


async def update(on: Connection, workflow_id: str, **values: Any) -> WorkflowRecord:
    """Update a workflow and insert its new version; `values` are the editable fields.

    The graph is JSON text.
    """
    row = await _UPDATE.only(on, id=workflow_id, **values)
    await _INSERT_VERSION.execute(on, workflow_id=workflow_id)
    return row


async def delete(on: Executor, workflow_id: str) -> None:
    """Delete a workflow and its versions."""
    await _DELETE.execute(on, workflow_id=workflow_id)


async def page(
    on: Executor,
    *,
    user_id: str,
    q: str | None,
    tag: str | None,
    access: str | None,
    after: str | None,
    size: int,
) -> Listed[ListedWorkflow]:
    """Return a user's workflows, or with `access="public"` all public ones, newest first."""
    filters = {
        "user_id": None if access == "public" else user_id,
        "access": access,
        "q": contains(q) if q else None,
        "tag": tag or None,
        "after": after,
    }
    given = {name: value for name, value in filters.items() if value is not None}
    statement = _page(frozenset(given))
    return await statement.read(on, size=size, **cast("dict[str, Any]", given))


@lru_cache(maxsize=32)
def _page(filters: frozenset[str]) -> PageQuery[ListedWorkflow]:
    return PageQuery(
        ListedWorkflow,
        columns=_LISTED_COLUMNS,
        table="workflows",
        key="id",
        size=_LISTED_BYTES,
        where=" and ".join(_FILTERS[name] for name in sorted(filters)),
    )


async def version(on: Executor, workflow_id: str, number: int) -> VersionRecord | None:
    """Return one version of a workflow, or None."""
    return await _VERSION.one(on, workflow_id=workflow_id, version=number)


async def versions(
    on: Executor, workflow_id: str, *, before: int | None, size: int
) -> Listed[VersionRecord]:
    """Return versions of a workflow, newest first."""
    return await _VERSIONS.read(on, workflow_id=workflow_id, before=before, size=size)


async def count(on: Executor, user_id: str, limit: int) -> int:
    """Return the number of workflows of a user, at most `limit`."""
    return await _COUNT.only(on, user_id=user_id, limit=limit)


async def delete_of_user(on: Executor, user_id: str, *, limit: int) -> int:
    """Delete up to `limit` workflows of a user; return their number."""
    return await _DELETE_OF_USER.execute(on, user_id=user_id, limit=limit)
