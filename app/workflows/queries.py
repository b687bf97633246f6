"""Statements on workflows."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.workflows.models import WorkflowRow, WorkflowVersionRow


def _readable(user_id: str) -> ColumnElement[bool]:
    return or_(WorkflowRow.user_id == user_id, WorkflowRow.access == "public")


async def readable(session: AsyncSession, workflow_id: str, *, by: str) -> WorkflowRow | None:
    """A workflow that a user owns or that is public."""
    query = select(WorkflowRow).where(WorkflowRow.id == workflow_id, _readable(by))
    return (await session.scalars(query)).one_or_none()


async def own_locked(
    session: AsyncSession, workflow_id: str, *, owner_id: str
) -> WorkflowRow | None:
    """A workflow of its owner, locked to be changed."""
    query = select(WorkflowRow).where(
        and_(WorkflowRow.id == workflow_id, WorkflowRow.user_id == owner_id)
    )
    return (await session.scalars(query.with_for_update())).one_or_none()


async def newest(
    session: AsyncSession,
    *,
    user_id: str,
    q: str | None,
    tag: str | None,
    access: str | None,
    after: str | None,
    limit: int,
) -> Sequence[WorkflowRow]:
    """A user's workflows, or with `access="public"` everybody's public ones, newest first."""
    query = select(WorkflowRow).order_by(WorkflowRow.id.desc()).limit(limit)
    if access == "public":
        query = query.where(WorkflowRow.access == "public")
    else:
        query = query.where(WorkflowRow.user_id == user_id)
    if access == "private":
        query = query.where(WorkflowRow.access == "private")
    if q:
        query = query.where(
            or_(
                WorkflowRow.name.icontains(q, autoescape=True),
                WorkflowRow.description.icontains(q, autoescape=True),
            )
        )
    if tag:
        query = query.where(WorkflowRow.tags.contains([tag]))
    if after:
        query = query.where(WorkflowRow.id < after)
    return (await session.scalars(query)).all()


async def version(
    session: AsyncSession, workflow_id: str, number: int
) -> WorkflowVersionRow | None:
    """One version of a workflow."""
    return await session.get(WorkflowVersionRow, (workflow_id, number))


async def versions(
    session: AsyncSession, workflow_id: str, *, before: int | None, limit: int
) -> Sequence[WorkflowVersionRow]:
    """A workflow's versions, newest first."""
    query = (
        select(WorkflowVersionRow)
        .where(WorkflowVersionRow.workflow_id == workflow_id)
        .order_by(WorkflowVersionRow.version.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(WorkflowVersionRow.version < before)
    return (await session.scalars(query)).all()
