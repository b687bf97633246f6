"""Workflows of one user, within the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession

from app.http import etags, pagination
from app.http.pagination import InvalidCursor, Page, decode_cursor, encode_cursor
from app.http.problems import NotFound
from app.runtime.ids import new_id
from app.workflows import queries
from app.workflows.graphs import check_graph
from app.workflows.models import WorkflowRow, WorkflowVersionRow
from processing_context.wire.workflows import WorkflowCreate, WorkflowUpdate

EDITABLE = ("name", "description", "tags", "access", "graph", "settings", "thumbnail_url")
"""What a user can change, and what the ETag covers."""

MAX_VERSION = 2**31 - 1


class WorkflowNotFound(NotFound):
    """No such workflow, or not for the caller."""

    code = "workflow_not_found"
    detail = "There is no such workflow."


class VersionNotFound(NotFound):
    """The workflow has no such version."""

    code = "workflow_version_not_found"
    detail = "This workflow has no such version."


def etag(row: WorkflowRow) -> str:
    """Return the ETag over what a user can edit."""
    return etags.etag_of(*(getattr(row, field) for field in EDITABLE))


class WorkflowService:
    """The workflows that one user may see."""

    def __init__(self, session: AsyncSession, *, user_id: str) -> None:
        self._session = session
        self._user_id = user_id

    async def get(self, workflow_id: str) -> WorkflowRow:
        """Return one workflow that the user owns or that is public.

        Raises:
            WorkflowNotFound: It is neither, or does not exist.
        """
        row = await queries.readable(self._session, workflow_id, by=self._user_id)
        if row is None:
            raise WorkflowNotFound
        return row

    async def page(
        self, page: Page, *, q: str | None, tag: str | None, access: str | None
    ) -> tuple[Sequence[WorkflowRow], str | None]:
        """Return a page of workflows and the next cursor."""
        rows = await queries.newest(
            self._session,
            user_id=self._user_id,
            q=q,
            tag=tag,
            access=access,
            after=page.after,
            limit=page.size + 1,
        )
        return pagination.cut(rows, page.size)

    async def create(self, request: WorkflowCreate) -> WorkflowRow:
        """Make a workflow.

        Raises:
            InvalidGraph: Its graph cannot be run.
        """
        check_graph(request.graph)
        values = request.model_dump(mode="json")
        row = WorkflowRow(id=new_id(), user_id=self._user_id, version=1, **values)
        self._session.add(row)
        await self._session.flush()
        self._keep_version(row)
        await self._session.flush()
        await self._session.refresh(row)
        return row

    async def update(
        self, workflow_id: str, request: WorkflowCreate | WorkflowUpdate, *, if_match: str | None
    ) -> WorkflowRow:
        """Change what the request gives (a `WorkflowCreate`: all); a change makes a version.

        Raises:
            WorkflowNotFound: It does not exist or is another user's.
            PreconditionFailed: It has changed since.
            InvalidGraph: The new graph cannot be run.
        """
        row = await self._own(workflow_id)
        etags.check_if_match(if_match, etag(row))
        if request.graph is not None:
            check_graph(request.graph)
        values = _given(request)
        if any(getattr(row, field) != value for field, value in values.items()):
            for field, value in values.items():
                setattr(row, field, value)
            row.version += 1
            row.updated_at = func.now()
            self._keep_version(row)
            await self._session.flush()
            await self._session.refresh(row)
        return row

    async def delete(self, workflow_id: str, *, if_match: str | None) -> None:
        """Delete a workflow and its versions; jobs that ran it keep their copy of the graph.

        Raises:
            WorkflowNotFound: It does not exist or is another user's.
            PreconditionFailed: It has changed since.
        """
        row = await self._own(workflow_id)
        etags.check_if_match(if_match, etag(row))
        await self._session.delete(row)

    async def version(self, workflow_id: str, number: int) -> WorkflowVersionRow:
        """Return one version.

        Raises:
            WorkflowNotFound: The workflow is not for the user.
            VersionNotFound: It has no such version.
        """
        await self.get(workflow_id)
        row = None
        if 0 < number <= MAX_VERSION:
            row = await queries.version(self._session, workflow_id, number)
        if row is None:
            raise VersionNotFound
        return row

    async def versions(
        self, workflow_id: str, *, page_size: int, cursor: str | None
    ) -> tuple[Sequence[WorkflowVersionRow], str | None]:
        """Return a page of versions, newest first, and the next cursor."""
        await self.get(workflow_id)
        before = _version_cursor(cursor) if cursor else None
        rows = await queries.versions(
            self._session, workflow_id, before=before, limit=page_size + 1
        )
        if len(rows) <= page_size:
            return rows, None
        return rows[:page_size], encode_cursor(str(rows[page_size - 1].version))

    async def _own(self, workflow_id: str) -> WorkflowRow:
        row = await queries.own_locked(self._session, workflow_id, owner_id=self._user_id)
        if row is None:
            raise WorkflowNotFound
        return row

    def _keep_version(self, row: WorkflowRow) -> None:
        self._session.add(
            WorkflowVersionRow(
                workflow_id=row.id,
                version=row.version,
                name=row.name,
                description=row.description,
                graph=row.graph,
                settings=row.settings,
            )
        )


def _given(request: WorkflowCreate | WorkflowUpdate) -> dict[str, Any]:
    if isinstance(request, WorkflowCreate):
        return request.model_dump(mode="json")
    return request.model_dump(mode="json", include=request.model_fields_set)


def _version_cursor(cursor: str) -> int:
    version = pagination.whole_number(decode_cursor(cursor))
    if version is None or version > MAX_VERSION:
        raise InvalidCursor
    return version
